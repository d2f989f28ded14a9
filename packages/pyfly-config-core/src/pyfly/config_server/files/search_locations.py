"""Search locations: the directories below a root in which the layout `spring` looks for files.

Pure functions; no directory is opened here. The texts of requests become parts of paths only after
they were checked as names.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pyfly.config_core import (
    BackendLookupError,
    ConfigFormatError,
    ConfigKey,
    InvalidConfigKeyError,
)
from pyfly.config_core.limits import MAX_LOOKUPS
from pyfly.config_server.storage import RequestedNames

__all__ = ["MAX_DIRECTORIES", "ROOT", "SearchLocations", "below", "check_search", "parse_search"]

ROOT: Final = ""
"""The path of the root directory."""
MAX_DIRECTORIES: Final = 64
"""The largest number of directories that one location with `*` may match."""

_MAX_LOCATIONS: Final = 32
_MAX_LENGTH: Final = 512
"""Characters of the path of a directory."""
_PLACEHOLDER: Final = re.compile(r"\{(?:application|profile|label)\}")
_ELEMENT: Final = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9._@+*-]*")
_NAMES: Final = {r"\{application\}": ".+", r"\{profile\}": "[^/]+", r"\*": "[^/]*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLocations:
    """The search locations of a store, the lowest precedence first.

    A location is the path of a directory, empty for the root. `{application}`, `{profile}` and
    `{label}` are replaced by names of the request, `*` matches any text within one name.
    """

    patterns: tuple[str, ...] = (ROOT,)

    @property
    def is_root_only(self) -> bool:
        """True if all files are in the root."""
        return self.patterns == (ROOT,)

    def directories(
        self,
        names: RequestedNames,
        label: str,
        list_directories: Callable[[str], Iterable[str]],
    ) -> tuple[str, ...]:
        """Return the directories for a request, each once, the lowest precedence first.

        Args:
            names: The names in the request. They are acceptable names.
            label: The label.
            list_directories: Returns the names of the directories directly below a path. It is
                called for locations with `*` only.

        Raises:
            InvalidConfigKeyError: A path would be too long.
            ConfigFormatError: A location matches more than 64 directories.
        """
        if self.is_root_only:
            return self.patterns
        found: dict[str, None] = {}
        for location in self.locations(names, label):
            if "*" in location:
                found |= dict.fromkeys(_matching(location, list_directories))
            else:
                found[location] = None
        return tuple(found)

    def locations(self, names: RequestedNames, label: str) -> tuple[str, ...]:
        """Return the locations for a request, each once; they may still contain `*`.

        A location with `{profile}` is left out if there is no profile.

        Raises:
            InvalidConfigKeyError: A path would be too long.
        """
        rows = (
            pattern.replace("{application}", application).replace("{profile}", profile)
            for pattern in self.patterns
            for profile in (names.profiles or ("",))
            for application in names.applications
            if names.profiles or "{profile}" not in pattern
        )
        found = tuple(dict.fromkeys(row.replace("{label}", label) for row in rows))
        for location in found:
            if len(location) > _MAX_LENGTH:
                raise InvalidConfigKeyError(
                    "request",
                    location,
                    f"the path of a search location would be longer than {_MAX_LENGTH} characters",
                )
        return found

    def includes(self, directory: str, key: ConfigKey) -> bool:
        """True if a request for nothing but one bundle looks into a directory."""
        if self.is_root_only:
            return directory == ROOT
        locations = self.locations(RequestedNames.of_key(key), key.label)
        return any(
            location == directory or ("*" in location and _fits(location, directory))
            for location in locations
        )

    def names_below(self, label: str, path: str) -> Iterator[str]:
        """Yield the path of a file below each location in which any request may look for it."""
        if ROOT in self.patterns:
            yield path
        directory, slash, name = path.rpartition("/")
        while slash:
            if any(_may_be(pattern, label).fullmatch(directory) for pattern in self.patterns):
                yield name
            directory, slash, part = directory.rpartition("/")
            name = f"{part}/{name}"


def below(directory: str, name: str) -> str:
    """Return the path of a file or directory below a directory, which may be the root."""
    return f"{directory}/{name}" if directory else name


def check_search(search: SearchLocations, keys: Sequence[ConfigKey], names: RequestedNames) -> None:
    """Refuse a request for too many bundles in too many locations.

    Raises:
        InvalidConfigKeyError: Their product is larger than 256, or a path would be too long.
    """
    label = keys[0].label if keys else ""
    bundles, locations = sum(not key.is_base for key in keys), len(search.locations(names, label))
    if bundles * locations > MAX_LOOKUPS:
        raise InvalidConfigKeyError(
            "request",
            f"{bundles} bundles x {locations} search locations",
            f"these are {bundles * locations:,} lookups, more than {MAX_LOOKUPS}; ask for fewer "
            "names at once",
        )


def parse_search(text: str, *, in_git: bool = False) -> SearchLocations:
    """Return the search locations in the option `search` of a URL, a comma list.

    Args:
        text: The list; an empty element is the root.
        in_git: True for a Git store: the root comes first in any case, and `{label}` is allowed.

    Raises:
        BackendLookupError: A location is not acceptable.
    """
    patterns = [element.removesuffix("/") for element in text.split(",")]
    if in_git:
        patterns.insert(0, ROOT)
    if len(patterns) > _MAX_LOCATIONS:
        raise BackendLookupError(f"search= lists more than {_MAX_LOCATIONS} locations")
    for pattern in patterns:
        _check(pattern, in_git=in_git)
    return SearchLocations(patterns=tuple(dict.fromkeys(patterns)))


def _check(pattern: str, *, in_git: bool) -> None:
    if pattern == ROOT:
        return
    if len(pattern) > _MAX_LENGTH:
        raise BackendLookupError(f"a location in search= is longer than {_MAX_LENGTH} characters")
    if "{label}" in pattern and not in_git:
        raise BackendLookupError(
            "'{label}' in search= is for Git only; elsewhere there is one label"
        )
    for element in _PLACEHOLDER.sub("x", pattern).split("/"):
        if not _ELEMENT.fullmatch(element) or ".." in element or "**" in element:
            raise BackendLookupError(
                f"the location {pattern!r} in search= must be a path below the root, of letters, "
                "digits and . _ @ + -, with {application}, {profile} or * in it; no part begins "
                "with '.', and none contains '..' or '**'"
            )


def _matching(location: str, list_directories: Callable[[str], Iterable[str]]) -> list[str]:
    found = [ROOT]
    for element in location.split("/"):
        if "*" not in element:
            found = [below(directory, element) for directory in found]
            continue
        matches = _glob(element).fullmatch
        found = [
            below(directory, name)
            for directory in found
            for name in sorted(list_directories(directory))
            if matches(name) and _is_name(name)
        ]
        if len(found) > MAX_DIRECTORIES:
            raise ConfigFormatError(
                f"the search location '{location}' matches more than {MAX_DIRECTORIES} directories"
            )
    return found


def _fits(location: str, directory: str) -> bool:
    """True if a location with `*` matches a directory."""
    patterns, names = location.split("/"), directory.split("/")
    return len(patterns) == len(names) and all(
        _glob(pattern).fullmatch(name) and _is_name(name)
        for pattern, name in zip(patterns, names, strict=True)
    )


def _is_name(name: str) -> bool:
    return "*" not in name and ".." not in name and _ELEMENT.fullmatch(name) is not None


@functools.lru_cache(maxsize=4096)
def _glob(element: str) -> re.Pattern[str]:
    return re.compile(re.escape(element).replace(r"\*", "[^/]*"))


@functools.lru_cache(maxsize=4096)
def _may_be(pattern: str, label: str) -> re.Pattern[str]:
    """Return the expression of all directories that a location may stand for."""
    text = re.escape(pattern.replace("{label}", label))
    for name, expression in _NAMES.items():
        text = text.replace(name, expression)
    return re.compile(text)
