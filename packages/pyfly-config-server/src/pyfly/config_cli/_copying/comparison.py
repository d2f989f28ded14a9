"""Comparing two stores by what they serve: every application, in every profile."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._copying.stored_levels import differing_bundles, load_levels
from pyfly.config_core import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    BackendAccessDeniedError,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    Environment,
    merge,
    rebuild,
)
from pyfly.config_server import Bundles, ConfigServer, Encryption, ServerOptions
from pyfly.config_server.formats.text import same_tree

_MAX_KEYS = 5
"""The largest number of keys that are named for one difference."""

_IN_LISTS = (
    "stored differently; it shows in lists of applications or profiles, or under other profiles"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A document that the two stores serve differently."""

    label: str
    application: str
    profile: str
    what: str
    """The difference: names of keys without values."""


async def compare_stores(
    source: Bundles, target: Bundles, keys: Sequence[ConfigKey]
) -> list[Difference]:
    """Compare the documents of two stores.

    For each document, the flattened JSON is compared, with placeholders and cipher texts as they
    are, and the contents of the property sources in order. The order of keys does not matter. Then
    the stored bundles are compared, for differences that appear only in lists of names, or under
    profiles that only conditions name.

    Args:
        source: The first store.
        target: The second store.
        keys: The bundles of both. Every application of them is compared in every profile of
            them, in `default`, and in a profile that no bundle has.

    Returns:
        One row for each document that differs, ordered by label, application, profile.

    Raises:
        BackendError: A store failed.
    """
    servers = (_server(source), _server(target))
    requests = sorted(_requests(keys))
    found: list[Difference] = []
    with ProgressBar("Comparing", total=len(requests)) as bar:
        for number, (label, application, profile) in enumerate(requests):
            bar.show(number, f"{application}/{profile}/{label}")
            one, other = [
                await _document(server, application, profile, label) for server in servers
            ]
            if what := _difference(one, other):
                found.append(
                    Difference(label=label, application=application, profile=profile, what=what)
                )
    return found + [
        one for one in await _stored_differences(source, target, keys) if _is_new(one, found)
    ]


async def _stored_differences(
    source: Bundles, target: Bundles, keys: Sequence[ConfigKey]
) -> list[Difference]:
    """Return the differences of stored bundles, which single documents may not show."""
    found: list[Difference] = []
    for label in sorted({key.label for key in keys}):
        applications = sorted(
            {key.application for key in keys if key.label == label} | {SHARED_APPLICATION}
        )
        profiles = sorted({key.profile for key in keys if key.label == label and not key.is_base})
        one, other = [
            await load_levels(store, label, applications=applications, profiles=profiles)
            for store in (source, target)
        ]
        found += [
            Difference(label=label, application=application, profile=profile, what=_IN_LISTS)
            for application, profile in differing_bundles(one, other)
        ]
    return found


def _is_new(one: Difference, found: Sequence[Difference]) -> bool:
    """True if all compared documents of an application are equal."""
    return all((one.label, one.application) != (two.label, two.application) for two in found)


def _server(bundles: Bundles) -> ConfigServer:
    encryption = Encryption(decrypts_documents=False)
    return ConfigServer(bundles.backend, options=ServerOptions(encryption=encryption))


def _requests(keys: Sequence[ConfigKey]) -> Iterator[tuple[str, str, str]]:
    for label in {key.label for key in keys}:
        applications = {key.application for key in keys if key.label == label}
        profiles = {key.profile for key in keys if key.label == label and not key.is_base}
        for application in applications | {SHARED_APPLICATION}:
            for profile in profiles | {DEFAULT_PROFILE, _unused(profiles)}:
                yield label, application, profile


def _unused(profiles: Iterable[str]) -> str:
    """Return a profile that no bundle has; its document has base bundles only."""
    name = "none"
    while name in profiles:
        name += "0"
    return name


async def _document(
    server: ConfigServer, application: str, profile: str, label: str
) -> Environment | str:
    """Return a document, or the text of its error."""
    try:
        return (await server.compose(application, profile, label)).environment
    except ConfigNotFoundError:
        return "the label does not exist"
    except (ConfigFormatError, BackendAccessDeniedError) as error:
        return str(error)


def _difference(one: Environment | str, other: Environment | str) -> str:
    if isinstance(one, str) or isinstance(other, str):
        if one == other:
            return ""
        errors = [error for error in (one, other) if isinstance(error, str)]
        return f"cannot be composed in one of the stores: {errors[0]}"
    sources = ([dict(s.source) for s in one.property_sources] for one in (one, other))
    mine, theirs = sources
    if len(mine) == len(theirs) and all(map(same_tree, mine, theirs)):
        return _flattened_difference(one, other)
    keys = [
        key
        for flat in (merge(mine), merge(theirs))
        for key in flat
        if not same_tree(merge(mine).get(key), merge(theirs).get(key))
    ]
    if not keys:
        return f"{len(mine)} and {len(theirs)} property sources, or another order of them"
    names = list(dict.fromkeys(keys))
    more = f" and {len(names) - _MAX_KEYS:,} more" if len(names) > _MAX_KEYS else ""
    return f"other values of {', '.join(names[:_MAX_KEYS])}{more}"


def _flattened_difference(one: Environment, other: Environment) -> str:
    """Compare the trees of the flattened JSON; equal keys that make no tree are equal."""
    mine, theirs = (merge([s.source for s in e.property_sources]) for e in (one, other))
    try:
        equal = same_tree(rebuild(mine), rebuild(theirs))
    except ConfigError:
        equal = same_tree(mine, theirs)
    return "" if equal else "another flattened form"
