"""The configuration server without HTTP: documents, plain files, saves and listings."""

import asyncio
import builtins
import contextlib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    JsonValue,
    check_name,
    encode_environment,
)
from pyfly.config_server.composition.composer import Composer
from pyfly.config_server.composition.compositions import Composition, ResourceComposition
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.resource_search import ResourceSearch
from pyfly.config_server.composition.store_selection import StoreSelection
from pyfly.config_server.composition.stored_bundles import Bundles, first_writable
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSource,
    SupportsCheck,
    SupportsClose,
    SupportsRefetch,
    ability,
)

_LOG: Final = logging.getLogger(__name__)
_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


class ConfigServer:
    """Composes the documents that clients read from the bundles in stores.

    It has no state: every call reads the stores. It owns its stores and closes them in `aclose`,
    or at the end of `async with`. `bundles` writes and lists in the first store that can save
    under conditions. Of the stores of a `RoutingBackend`, one answers a request.

    Args:
        backend: Any object with the three methods of `ConfigBackend`. Further abilities are found
            when the server is made.
        further: More stores, each of lower precedence than those before it. All sources of one
            store come before those of the next.
        base_path: The beginning of the HTTP paths: empty, or `/` and a name, repeatable.
        default_label: The label of requests without a label.
        options: Further options.

    Raises:
        ValueError: The base path is not of that form.
        InvalidConfigKeyError: The default label is not acceptable.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        *further: ConfigBackend,
        base_path: str = "/config",
        default_label: str = DEFAULT_LABEL,
        options: ServerOptions | None = None,
    ) -> None:
        if not _BASE_PATH.fullmatch(base_path) or {".", ".."} & {*base_path.split("/")}:
            raise ValueError(
                f"base path {base_path!r} must be empty or begin with '/' and not end with it, "
                "of letters, digits and . _ ~ -, without '.' and '..' between slashes"
            )
        check_name("label", default_label)
        self.options: Final = options or ServerOptions()
        given = (backend, *further)
        self._selection = StoreSelection(given, self.options.default_application_name)
        self.backends: Final = self._selection.stores
        """All stores, those of a `RoutingBackend` one by one."""
        self.bundles: Final = Bundles(first_writable(given))
        self.base_path: Final = base_path
        self.default_label: Final = default_label
        self._composer = Composer(self._selection, self.options)
        self._resources = ResourceSearch(self._selection, self.options)

    def stores_for(self, application: str) -> tuple[int, ...]:
        """Return the positions in `backends` of the stores that answer a request.

        Args:
            application: One name or a comma list.

        Raises:
            InvalidConfigKeyError: A name is not acceptable, or the applications are in different
                stores of a `RoutingBackend`. Without one, the result is all stores.
        """
        return self._selection.positions(application)

    def store_of(self, key: ConfigKey) -> int:
        """Return the position in `backends` of the store in which `bundles` has a key."""
        return self._selection.position_of(self.bundles.backend, key)

    async def fetch(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> dict[str, JsonValue]:
        """Return the environment document as a JSON object (docs/reference/protocol.md).

        The list of property sources is empty for an application without bundles.

        Args:
            application: One name or a comma list.
            profile: One name or a comma list, the last one highest.
            label: One name, a comma list, or `None` for the default label. With `None`, the
                document names the default label.

        Raises:
            ConfigError: As `compose`.
        """
        label = self.default_label if label is None else label
        return encode_environment((await self.compose(application, profile, label)).environment)

    async def compose(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> Composition:
        """Return the document of `fetch` as a value, with all its inputs.

        Its label is the requested label: `None` without a label.

        Raises:
            InvalidConfigKeyError: A name is not acceptable, the names make more than 256 lookups,
                or the applications are in different stores of a `RoutingBackend`.
            ConfigNotFoundError: The label does not exist, or nothing is stored and
                `accept_empty` is false.
            ConfigFormatError: A stored text that is needed does not parse, or the answer would be
                too large.
            EncryptionNotInstalledError: There are cipher texts, but no libraries to decrypt them.
            BackendError: A store failed.
        """
        wanted = self.default_label if label is None else label
        return await self._composer.compose(application, profile, wanted, shown_label=label)

    async def compose_resource(
        self, application: str, profile: str, label: str | None, path: str
    ) -> ResourceComposition:
        """Return a plain file, if there is one, with the document for its placeholders.

        The first store wins, and within a store the last label; with `reverse_location_order` it
        is the other way round. Within a label the variant of the first profile wins, such as
        `nginx-dev.conf` for `nginx.conf`, and the file itself comes last.

        Raises:
            InvalidConfigKeyError: The path is not acceptable, or there are more than 256
                variants under all labels.
            ConfigError: As `compose`, even if the file is found.
        """
        wanted = self.default_label if label is None else label
        found = await self._resources.find(application, profile, wanted, path)
        composition = await self.compose(application, profile, label)
        return ResourceComposition(
            environment=composition.environment,
            resource=found.resource,
            inputs=tuple(
                replace(store, resources=tried)
                for store, tried in zip(composition.inputs, found.tried, strict=True)
            ),
        )

    async def save(
        self,
        application: str,
        profile: str,
        properties: Mapping[str, JsonValue],
        label: str | None = None,
    ) -> None:
        """Store the properties of one application in one profile, replacing what is there.

        Durable and atomic as the store promises (`ConfigBackend.save`).

        Raises:
            InvalidConfigKeyError: A name is not acceptable, reserved, or a list.
            ConfigFormatError: The properties collide, are too many, too deep, too large, or not
                JSON values.
            ConfigObstructedError: There is a file that the store must not rewrite.
            BackendError: The store failed.
        """
        await self.bundles.save(
            ConfigSource(
                application=application,
                profile=profile,
                label=self.default_label if label is None else label,
                properties=properties,
            )
        )

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable source of every store, as stored, the highest store first.

        Raises:
            BackendError: A store failed.
        """
        return [source for backend in self.backends for source in await backend.list()]

    async def check(self) -> None:
        """Return if requests can be answered. Unreadable bundles do not matter.

        Of the stores of a `RoutingBackend` one is enough; the others are logged.

        Raises:
            BackendError: A store that is needed cannot be read; the message gives the reason. A
                third-party store may raise any error.
        """
        results = await asyncio.gather(
            *(self._check(backend) for backend in self.backends), return_exceptions=True
        )
        failures: list[BaseException] = []
        alternatives = self._selection.alternatives
        for positions in alternatives:
            failed = [(one, error) for one in positions if (error := results[one]) is not None]
            if len(failed) == len(positions):
                failures.append(failed[0][1])
                continue
            for position, error in failed:
                what = str(error) if isinstance(error, ConfigError) else type(error).__name__
                _LOG.error("its applications fail: %r: %s", self.backends[position], what)
        if failures and (
            self.options.fail_on_composite_error or len(failures) == len(alternatives)
        ):
            raise failures[0]

    async def _check(self, backend: ConfigBackend) -> None:
        store = ability(backend, SupportsCheck)
        if store is not None:
            await store.check()
            return
        options = self.options
        with contextlib.suppress(ConfigFormatError):
            await backend.fetch(
                options.default_application_name, options.default_profile, self.default_label
            )

    async def refetch(self) -> None:
        """Ask every store with the ability `SupportsRefetch` to copy its remote place soon.

        Raises:
            Exception: What the first store raised that could not be asked. The others were asked.
        """
        stores = [ability(backend, SupportsRefetch) for backend in self.backends]
        results = await asyncio.gather(
            *(store.refetch() for store in stores if store is not None), return_exceptions=True
        )
        for failure in filter(None, results):
            raise failure

    async def __aenter__(self) -> Self:
        """Return this server."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stores."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all stores that can be closed. Closing twice is allowed."""
        async with contextlib.AsyncExitStack() as stack:
            for backend in self.backends:
                store = ability(backend, SupportsClose)
                if store is not None:
                    stack.push_async_callback(store.aclose)
