"""The server: from a request for an application to the document that answers it."""

import asyncio
import builtins
import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    ConfigFormatError,
    JsonValue,
    check_name,
    encode_environment,
)
from pyfly.config_server.composition.bundles import Bundles, first_writable
from pyfly.config_server.composition.composer import Composer
from pyfly.config_server.composition.compositions import Composition, ResourceComposition
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.resource_search import ResourceSearch
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSource,
    SupportsCheck,
    SupportsClose,
    ability,
)

_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


class ConfigServer:
    """Composes what stores hold into the documents that clients read.

    Holds no state of its own: every call reads the stores. It owns the stores it was given and
    closes them in `aclose`, or at the end of `async with`. Writing and listing is done in
    `bundles`, the first store that can save under conditions.

    Args:
        backend: Any object with the three methods of `ConfigBackend`; its further abilities are
            found at construction.
        further: More stores, each of lower precedence than those before it. All sources of one
            store come before those of the next.
        base_path: Where the HTTP routes are mounted: empty, or `/` and a name, repeatable.
        default_label: The label of requests that name none.
        options: Everything else.

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
        self.backends: Final = (backend, *further)
        self.bundles: Final = Bundles(first_writable(self.backends))
        self.base_path: Final = base_path
        self.default_label: Final = default_label
        self.options: Final = options or ServerOptions()
        self._composer = Composer(self.backends, self.options)
        self._resources = ResourceSearch(self.backends, self.options)

    async def fetch(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> dict[str, JsonValue]:
        """Return the environment document as a JSON object (docs/reference/protocol.md).

        An application without any bundle gives an empty list of property sources.

        Args:
            application: One name or a comma list.
            profile: One name or a comma list, the last one highest.
            label: One name, a comma list, or `None` for the default label, which the document
                then names.

        Raises:
            ConfigError: As `compose`.
        """
        label = self.default_label if label is None else label
        return encode_environment((await self.compose(application, profile, label)).environment)

    async def compose(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> Composition:
        """Return the document of `fetch` as a value, with everything that it was made of.

        Its label is the one that was asked for: `None` without a label.

        Raises:
            InvalidConfigKeyError: A name is not acceptable, or the names make more than 256
                lookups.
            ConfigNotFoundError: The label does not exist, or nothing is stored and that is not
                accepted.
            ConfigFormatError: A stored text that is needed does not parse, or all together is
                more than one answer may hold.
            EncryptionNotInstalledError: There are cipher texts, and nothing that decrypts.
            BackendError: A store failed.
        """
        wanted = self.default_label if label is None else label
        return await self._composer.compose(application, profile, wanted, shown_label=label)

    async def compose_resource(
        self, application: str, profile: str, label: str | None, path: str
    ) -> ResourceComposition:
        """Return a plain file, if there is one, with the document whose values it may refer to.

        Of several stores the first that has a variant of the file, of several labels the last,
        or the other way round when the order of locations is reversed. Of the variants the one
        of the first profile that has one, `nginx-dev.conf` for `nginx.conf`; then the file itself.

        Raises:
            InvalidConfigKeyError: The path is not acceptable, or there are more than 256
                variants under all labels.
            ConfigError: As `compose`, also when the file is found.
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
            ConfigFormatError: The properties collide, are too many, too deep, too large, or no
                JSON values.
            ConfigObstructedError: A file that the store must not rewrite is in the way.
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
        """Return when requests can be answered; a broken bundle does not count against that.

        Raises:
            BackendError: A store that is needed cannot be read; says why. A third-party
                store may raise errors of its own.
        """
        results = await asyncio.gather(
            *(self._check(backend) for backend in self.backends), return_exceptions=True
        )
        failures = [result for result in results if result is not None]
        if failures and (self.options.fail_on_composite_error or len(failures) == len(results)):
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

    async def __aenter__(self) -> Self:
        """Return this server."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stores."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the stores that can be closed, all of them. Closing twice is allowed."""
        async with contextlib.AsyncExitStack() as stack:
            for backend in self.backends:
                store = ability(backend, SupportsClose)
                if store is not None:
                    stack.push_async_callback(store.aclose)
