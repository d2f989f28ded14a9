"""The server: from a request for an application to the document that answers it."""

import asyncio
import builtins
import contextlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    Environment,
    FlatValue,
    JsonValue,
    PropertySource,
    check_collisions,
    check_name,
    check_not_reserved,
    drop_retired,
    encode_environment,
    flatten,
)
from pyfly.config_server._order import Lookup, plan_lookups
from pyfly.config_server._text import MAX_DOCUMENT_BYTES
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSource,
    SupportsBaseBundles,
    SupportsBatchFetch,
    SupportsCheck,
    SupportsClose,
    SupportsLabels,
)

_LOG: Final = logging.getLogger(__name__)

_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_ACTIVATION: Final = "spring.config.activate."


class ConfigServer:
    """Composes what a store holds into the documents that clients read.

    Holds no state of its own: every call reads the store. It owns the backend it was given and
    closes it in `aclose`.

    Args:
        backend: Any object with the three methods of `ConfigBackend`; its further abilities are
            found at construction.
        base_path: Where the HTTP routes are mounted: empty, or `/` and a name, repeatable.
        default_label: The label of requests that name none.

    Raises:
        ValueError: The base path is not of that form.
        InvalidConfigKeyError: The default label is not acceptable.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        *,
        base_path: str = "/config",
        default_label: str = DEFAULT_LABEL,
    ) -> None:
        if not _BASE_PATH.fullmatch(base_path):
            raise ValueError(
                f"base path {base_path!r} must be empty or begin with '/' and not end with it, "
                "of letters, digits and . _ ~ -"
            )
        check_name("label", default_label)
        self.backend = backend
        self.base_path = base_path
        self.default_label = default_label
        self._labels = backend if isinstance(backend, SupportsLabels) else None
        self._batch = backend if isinstance(backend, SupportsBatchFetch) else None
        self._bases = backend if isinstance(backend, SupportsBaseBundles) else None

    async def fetch(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> dict[str, JsonValue]:
        """Return the environment document (contract §2.1) as a JSON object.

        An application without any bundle gives an empty list of property sources.

        Args:
            application: One name or a comma list.
            profile: One name or a comma list, the last one highest.
            label: One name, a comma list, or `None` for the default label, which the document
                then names.

        Raises:
            InvalidConfigKeyError: A name is not acceptable.
            ConfigNotFoundError: The label does not exist.
            ConfigFormatError: A stored text that is needed does not parse.
            BackendError: The store failed.
        """
        label = self.default_label if label is None else label
        return encode_environment(await self.environment(application, profile, label))

    async def environment(self, application: str, profile: str, label: str | None) -> Environment:
        """Return the same document as a value, with `label` as it was asked for.

        Raises:
            ConfigError: As `fetch`.
        """
        wanted = self.default_label if label is None else label
        sources: dict[str, PropertySource] = {}
        for lookup in plan_lookups(application=application, profile=profile, label=wanted):
            for source in await self._look_up(lookup):
                sources.setdefault(source.name, source)
        return Environment(
            name=application,
            profiles=(profile,),
            label=label,
            property_sources=tuple(sources.values()),
        )

    async def _look_up(self, lookup: Lookup) -> builtins.list[PropertySource]:
        found = [_property_source(s) for s in await self._fetch_many(lookup.keys) if s is not None]
        if self._bases is not None:
            for application in lookup.bases:
                base = await self._bases.fetch_base(application, lookup.label)
                if base is not None:
                    found.append(_property_source(base, stem=application))
        if (
            not found
            and self._labels is not None
            and not await self._labels.has_label(lookup.label)
        ):
            raise ConfigNotFoundError("label", lookup.label)
        return found

    async def _fetch_many(self, keys: Sequence[ConfigKey]) -> Sequence[ConfigSource | None]:
        if self._batch is not None:
            return await self._batch.fetch_many(keys)
        return await asyncio.gather(
            *(self.backend.fetch(key.application, key.profile, key.label) for key in keys)
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
        source = ConfigSource(
            application=application,
            profile=profile,
            label=self.default_label if label is None else label,
            properties=properties,
        )
        check_storable(source)
        await self.backend.save(source)

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable source of the store, as stored.

        Raises:
            BackendError: The store failed.
        """
        return await self.backend.list()

    async def check(self) -> None:
        """Return when the store can be read; a broken bundle does not count against it.

        Raises:
            BackendError: It cannot; says why. A stranger's store may raise errors of its own.
        """
        if isinstance(self.backend, SupportsCheck):
            await self.backend.check()
            return
        with contextlib.suppress(ConfigFormatError):
            await self.backend.fetch(SHARED_APPLICATION, DEFAULT_PROFILE, self.default_label)

    async def aclose(self) -> None:
        """Close the backend, where it can be closed. Closing twice is allowed."""
        if isinstance(self.backend, SupportsClose):
            await self.backend.aclose()


def check_storable(source: ConfigSource) -> None:
    """Refuse what no store may be given: the one gate in front of every write (design §5, §6).

    Raises:
        InvalidConfigKeyError: The name is reserved.
        ConfigFormatError: The properties collide, are too many, too deep or too large.
    """
    check_not_reserved(source.key)
    check_collisions(source.properties)
    size = len(json.dumps(source.properties, ensure_ascii=False).encode())
    if size > MAX_DOCUMENT_BYTES:
        raise ConfigFormatError(f"{size:,} bytes of JSON, more than {MAX_DOCUMENT_BYTES:,}")


def _property_source(source: ConfigSource, *, stem: str | None = None) -> PropertySource:
    file_name = source.resource or stem or f"{source.application}-{source.profile}"
    label = source.label.replace("-", "%2D").replace(",", "%2C")
    return PropertySource(
        name=f"{label}/{file_name}", source=_flat(source, f"{source.label}/{file_name}")
    )


def _flat(source: ConfigSource, where: str) -> dict[str, FlatValue]:
    try:
        flat = flatten(source.properties)
    except ConfigFormatError as error:
        raise error.at(where) from error
    if any(key.startswith(_ACTIVATION) for key in flat):
        raise ConfigFormatError(
            "documents with activation conditions cannot be served", where=where
        )
    if retired := drop_retired(flat):
        _LOG.warning("%s: left out: %s", where, ", ".join(retired))
    return flat
