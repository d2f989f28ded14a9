"""The server: from a request for an application to the document that answers it."""

import asyncio
import builtins
import contextlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigError,
    ConfigFormatError,
    ConfigNotFoundError,
    Environment,
    JsonValue,
    PropertySource,
    check_name,
    check_path,
    check_profile,
    encode_environment,
    split_names,
    split_profiles,
)
from pyfly.config_server.composition.budgets import AnswerBudget, check_lookups
from pyfly.config_server.composition.bundles import Bundles, first_writable
from pyfly.config_server.composition.lookups import Lookup, plan_lookups
from pyfly.config_server.composition.reader import Found, StoreReader, unique_sources
from pyfly.config_server.encryption import Encryption
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigResource,
    ConfigSource,
    SupportsCheck,
    SupportsClose,
    SupportsResources,
    ability,
)

_LOG: Final = logging.getLogger(__name__)

_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_OVERRIDES: Final = "overrides"
_OVERRIDES_ORIGIN: Final = "Config server overrides"
_ESCAPED: Final = re.compile(r"\\\$?(?=\{)")


class ConfigServer:
    r"""Composes what stores hold into the documents that clients read.

    Holds no state of its own: every call reads the stores. It owns the stores it was given and
    closes them in `aclose`. Writing and listing is done in `bundles`, the first store that can
    save under conditions.

    Args:
        backend: Any object with the three methods of `ConfigBackend`; its further abilities are
            found at construction.
        further: More stores, each of lower precedence than those before it. All sources of one
            store come before those of the next (contract §3.8).
        base_path: Where the HTTP routes are mounted: empty, or `/` and a name, repeatable.
        default_label: The label of requests that name none.
        overrides: Flat keys and texts that every document begins with (contract §3.7). In them
            `\${x}` and `\{x}` stand for `${x}` and `{x}`.
        accept_empty: Whether an application for which nothing is stored is answered with an
            empty document rather than refused.
        fail_on_composite_error: Of several stores: whether one that fails fails the request. If
            not, its sources are left out and the failure is logged; when all fail, the request
            fails all the same.
        continue_on_label_failure: Of several labels in one request: whether unknown ones are
            left out. Unless one of them exists, the request fails all the same.
        default_application_name: The application whose bundles everybody gets.
        default_profile: The profile whose bundles everybody gets.
        strip_document_from_yaml: Whether the flattened YAML of what is one list or one value is
            just that, without the key `document`.
        reverse_location_order: Whether plain files are looked for from the lowest store and the
            first label on.
        encryption: What is done with values that begin with `{cipher}`.
        version: What documents of one store name as their version when the store has none.

    Raises:
        ValueError: The base path is not of that form.
        InvalidConfigKeyError: A default name is not acceptable.
    """

    def __init__(  # noqa: PLR0913 - the settings of contract §10.2, each by its name
        self,
        backend: ConfigBackend,
        *further: ConfigBackend,
        base_path: str = "/config",
        default_label: str = DEFAULT_LABEL,
        overrides: Mapping[str, str] | None = None,
        accept_empty: bool = True,
        fail_on_composite_error: bool = True,
        continue_on_label_failure: bool = False,
        default_application_name: str = SHARED_APPLICATION,
        default_profile: str = DEFAULT_PROFILE,
        strip_document_from_yaml: bool = True,
        reverse_location_order: bool = False,
        encryption: Encryption | None = None,
        version: str | None = None,
    ) -> None:
        if not _BASE_PATH.fullmatch(base_path) or {".", ".."} & {*base_path.split("/")}:
            raise ValueError(
                f"base path {base_path!r} must be empty or begin with '/' and not end with it, "
                "of letters, digits and . _ ~ -, without '.' and '..' between slashes"
            )
        check_name("label", default_label)
        check_name("application", default_application_name)
        check_profile(default_profile)
        self.backends: Final = (backend, *further)
        self.bundles: Final = Bundles(first_writable(self.backends))
        self.base_path: Final = base_path
        self.default_label: Final = default_label
        self.strip_document_from_yaml: Final = strip_document_from_yaml
        self.encryption: Final = encryption or Encryption()
        self._shared_application = default_application_name
        self._default_profile = default_profile
        self._accept_empty = accept_empty
        self._fail_on_composite_error = fail_on_composite_error
        self._continue_on_label_failure = continue_on_label_failure
        self._reverse_location_order = reverse_location_order
        self._version = version
        self._overrides = _overrides_source(overrides or {})
        self._readers = tuple(
            StoreReader(one, suffix=f" (store #{number})" if number else "")
            for number, one in enumerate(self.backends)
        )

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
            InvalidConfigKeyError: A name is not acceptable, or the names make more than 256
                lookups.
            ConfigNotFoundError: The label does not exist, or nothing is stored and that is not
                accepted.
            ConfigFormatError: A stored text that is needed does not parse, or all together is
                more than one answer may hold.
            EncryptionNotInstalledError: There are cipher texts, and nothing that decrypts.
            BackendError: A store failed.
        """
        label = self.default_label if label is None else label
        return encode_environment(await self.environment(application, profile, label))

    async def environment(self, application: str, profile: str, label: str | None) -> Environment:
        """Return the same document as a value, with `label` as it was asked for.

        Raises:
            ConfigError: As `fetch`.
        """
        wanted = self.default_label if label is None else label
        plans = {
            default_is_base: plan_lookups(
                application=application,
                profile=profile,
                label=wanted,
                shared_application=self._shared_application,
                base_profile=self._default_profile if default_is_base else None,
            )
            for default_is_base in {reader.default_is_base for reader in self._readers}
        }
        stores = await self._read(plans)
        self._check_labels(next(iter(plans.values())), stores)
        sources = unique_sources(
            s for store in stores for found in store for s in found.sources or ()
        )
        if not sources and not self._accept_empty:
            raise ConfigNotFoundError("configuration of", application)
        if self.encryption.concerns(sources):
            self.encryption.check_amount(sources)
            sources = await asyncio.to_thread(self.encryption.decrypt, sources)  # RSA takes long
        return Environment(
            name=application,
            profiles=(profile,),
            label=label,
            version=(_version(stores[0]) or self._version) if len(self.backends) == 1 else None,
            property_sources=(*self._overrides, *sources),
        )

    async def resource(
        self, application: str, profile: str, label: str | None, path: str
    ) -> ConfigResource | None:
        """Return a plain file (contract §5), or `None` when no store has it.

        Of several stores the first that has a variant of the file, of several labels the last,
        or the other way round when the order of locations is reversed. Of the variants the one
        of the first profile that has one, `nginx-dev.conf` for `nginx.conf`; then the file itself.

        Raises:
            InvalidConfigKeyError: A name or the path is not acceptable, or there are more than
                256 variants under all labels.
            BackendError: A store failed.
        """
        split_names("application", application)
        check_path(path)
        wanted = self.default_label if label is None else label
        variants = _variants(path, split_profiles(profile), self._default_profile)
        labels = split_names("label", wanted)
        check_lookups(profiles=len(variants), labels=len(labels))
        stores = [ability(backend, SupportsResources) for backend in self.backends]
        places = [(store, one) for one in reversed(labels) for store in stores if store is not None]
        for store, one in reversed(places) if self._reverse_location_order else places:
            for variant in variants:
                found = await store.open_resource(one, variant)
                if found is not None:
                    return found
        return None

    async def _read(
        self, plans: Mapping[bool, Sequence[Lookup]]
    ) -> builtins.list[builtins.list[Found]]:
        """Return what every store holds for every lookup, the highest store first.

        Args:
            plans: The lookups for stores by their `default_is_base`.
        """
        budget = AnswerBudget()
        reads = [
            _read_store(reader, plans[reader.default_is_base], budget) for reader in self._readers
        ]
        if len(reads) == 1:
            return [await reads[0]]
        results = await asyncio.gather(*reads, return_exceptions=True)
        stores: builtins.list[builtins.list[Found]] = []
        failures: builtins.list[BaseException] = []
        for backend, result in zip(self.backends, results, strict=True):
            if not isinstance(result, BaseException):
                stores.append(result)
                continue
            failures.append(result)
            if not self._fail_on_composite_error:
                what = str(result) if isinstance(result, ConfigError) else type(result).__name__
                _LOG.error("left out: %s: %s", type(backend).__name__, what)
        if failures and (self._fail_on_composite_error or not stores):
            raise failures[0]
        return stores

    def _check_labels(self, lookups: Sequence[Lookup], stores: Sequence[Sequence[Found]]) -> None:
        """Refuse a label that no store knows."""
        unknown = [
            lookup.label
            for position, lookup in enumerate(lookups)
            if all(store[position].sources is None for store in stores)
        ]
        if unknown and (not self._continue_on_label_failure or len(unknown) == len(lookups)):
            raise ConfigNotFoundError("label", unknown[-1])

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
            BackendError: A store that is needed cannot be read; says why. A stranger's store
                may raise errors of its own.
        """
        results = await asyncio.gather(
            *(self._check(backend) for backend in self.backends), return_exceptions=True
        )
        failures = [result for result in results if result is not None]
        if failures and (self._fail_on_composite_error or len(failures) == len(results)):
            raise failures[0]

    async def _check(self, backend: ConfigBackend) -> None:
        store = ability(backend, SupportsCheck)
        if store is not None:
            await store.check()
            return
        with contextlib.suppress(ConfigFormatError):
            await backend.fetch(self._shared_application, self._default_profile, self.default_label)

    async def aclose(self) -> None:
        """Close the stores that can be closed, all of them. Closing twice is allowed."""
        async with contextlib.AsyncExitStack() as stack:
            for backend in self.backends:
                store = ability(backend, SupportsClose)
                if store is not None:
                    stack.push_async_callback(store.aclose)


async def _read_store(
    reader: StoreReader, lookups: Sequence[Lookup], budget: AnswerBudget
) -> list[Found]:
    return [await reader.read(lookup, budget) for lookup in lookups]


def _version(store: Sequence[Found]) -> str | None:
    """Return the versions of the labels that exist, in the order of the request (contract §2.1)."""
    known = (found.version for found in reversed(store) if found.sources is not None)
    return ",".join(version for version in known if version is not None) or None


def _variants(path: str, profiles: Sequence[str], default_profile: str) -> tuple[str, ...]:
    """Return the paths to look at, in this order.

    >>> _variants("conf.d/site.conf", ("dev", "eu"), "default")
    ('conf.d/site-dev.conf', 'conf.d/site-eu.conf', 'conf.d/site.conf')
    """
    directory, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    stem, suffix = (stem, dot + extension) if dot else (name, "")
    names = (
        name if profile == default_profile else f"{stem}-{profile}{suffix}" for profile in profiles
    )
    return tuple(dict.fromkeys(f"{directory}{slash}{one}" for one in (*names, name)))


def _overrides_source(overrides: Mapping[str, str]) -> tuple[PropertySource, ...]:
    if not overrides:
        return ()
    values = {
        key: _ESCAPED.sub(lambda found: found[0][1:], text) for key, text in overrides.items()
    }
    return (
        PropertySource(
            name=_OVERRIDES, source=values, origins=dict.fromkeys(values, _OVERRIDES_ORIGIN)
        ),
    )
