"""Layouts: the rules from file names to bundles, and from bundles to files.

A layout is a value. `LabelsLayout` is the default; `SpringLayout` is the layout of repositories of
Spring Cloud Config. Pure functions; no file is opened here.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Protocol

from pyfly.config_core import (
    BASE_PROFILE,
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    BackendLookupError,
    ConfigKey,
    InvalidConfigKeyError,
    check_name,
    split_profiles,
)
from pyfly.config_server.files.bundle_names import (
    key_or_none,
    readings_of,
    splits_of,
    stems_of,
)
from pyfly.config_server.files.search_locations import ROOT, SearchLocations, below, parse_search
from pyfly.config_server.storage import RequestedNames

__all__ = [
    "PROPERTIES_SUFFIX",
    "LabelsLayout",
    "Layout",
    "ListedKey",
    "SpringLayout",
    "parse_layout",
]

_ROOT_ONLY: Final = SearchLocations()

PROPERTIES_SUFFIX: Final = ".properties"
"""The suffix of files that are read and edited, but never made or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A bundle that file names imply."""

    key: ConfigKey
    is_guess: bool = False
    """True if the file could also belong to another bundle."""
    also: ConfigKey | None = None
    """The other bundle that the file evidently belongs to."""
    file: str | None = None
    """The only file that a read needs, if the tree is slow and its listing names just one."""


class Layout(Protocol):
    """The rules for the file names of one label."""

    has_label_directories: ClassVar[bool]
    """True if each label is a directory; otherwise the files of one label are in the root."""
    default_is_base: ClassVar[bool]
    """True if bundles of the profile `default` count for every profile."""
    reads_all: ClassVar[bool]
    """True if a bundle consists of all its files; otherwise of the first existing file."""
    new_suffix: ClassVar[str]
    """The suffix of the file of a new bundle; one of `file_names` ends with it."""
    splits_by_name: ClassVar[bool]
    """True if a listing names a bundle by the name of its file alone, not by those of others."""

    @property
    def search(self) -> SearchLocations:
        """The directories below a label with files of bundles."""
        ...

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names of the files of a bundle in one directory, the highest first."""
        ...

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles of the files of a label, ordered, each once.

        Args:
            label: The label.
            names: Paths below the label.
        """
        ...

    def listed(self, label: str, names: Iterable[str]) -> Mapping[str, ListedKey]:
        """Return the bundle that `keys` names for each file, by path, without plain files."""
        ...

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return every bundle that a fetch could read from a file; empty for a plain file.

        Args:
            label: The label.
            name: The path below a search location.
        """
        ...

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a key if its file would be listed as another bundle.

        Args:
            key: The bundle to save.
            names: Returns the paths of the files of its label.

        Raises:
            InvalidConfigKeyError: The file would be listed as another bundle.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsLayout:
    """`<label>/<application>-<profile>.{yaml,yml,json,properties}`, one directory for each label.

    The first existing suffix is read. A name is split at its last `-`; without a `-` it is a base
    bundle. Bundles of the profile `default` count for every profile.
    """

    suffixes: ClassVar = (".yaml", ".yml", ".json", ".properties")
    has_label_directories: ClassVar = True
    default_is_base: ClassVar = True
    reads_all: ClassVar = False
    new_suffix: ClassVar = ".yaml"
    splits_by_name: ClassVar = True

    @property
    def search(self) -> SearchLocations:
        """The directory of the label itself."""
        return _ROOT_ONLY

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names that a reader tries, in order."""
        stem = key.stem
        return tuple([stem + suffix for suffix in self.suffixes])

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles, split at the last `-`; a name with several `-` is a guess.

        A name that cannot be split there, such as `orders-`, is a base bundle.
        """
        return _ordered({row.key: row for row in self.listed(label, names).values()}.values())

    def listed(self, label: str, names: Iterable[str]) -> Mapping[str, ListedKey]:
        """Return the bundle that `keys` names for each file."""
        found: dict[str, ListedKey] = {}
        for path, stem in stems_of(names, self.suffixes):
            application, _, profile = stem.rpartition("-")
            split = key_or_none(application, profile, label)
            key = split or key_or_none(stem, BASE_PROFILE, label)
            if key is not None:
                found[path] = ListedKey(key=key, is_guess="-" in application)
        return found

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return the base bundle of that name, and the bundles of all its splits."""
        return readings_of(label, name, self.suffixes)

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a `-` at which a listing would split the name, and applications with `/`.

        Raises:
            InvalidConfigKeyError: The profile contains `-`, the application contains `/`, or the
                application of a base bundle contains `-`.
        """
        del names  # the rule does not depend on other files
        if key.is_base and "-" in key.application:
            raise _misread(key, "the file of this base bundle would be read as a profile; save it")
        if "-" in key.profile and not key.is_base:
            raise InvalidConfigKeyError(
                "profile",
                key.profile,
                "the file name would be split inside of the profile; save it without '-'",
            )
        if "/" in key.application:
            raise _nested(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpringLayout:
    """`<application>[-<profile>].{properties,yml,yaml}`, the layout of Spring Cloud Config.

    Every existing file counts: `.properties` before `.yml` before `.yaml`. JSON files are plain
    files. Bundles of the profile `default` count if that profile is requested.
    """

    profiles: frozenset[str] = frozenset()
    """Names that a listing always takes as profiles."""
    search: SearchLocations = _ROOT_ONLY
    """The directories with files of bundles."""

    suffixes: ClassVar = (".properties", ".yml", ".yaml")
    has_label_directories: ClassVar = False
    default_is_base: ClassVar = False
    reads_all: ClassVar = True
    new_suffix: ClassVar = ".yml"
    splits_by_name: ClassVar = False

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names of all files of a bundle, the highest precedence first."""
        stem = key.stem
        return tuple([stem + suffix for suffix in self.suffixes])

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles of the files of a label, ordered, each once.

        `a-b` is the application `a` with the profile `b` if there is a file `a.*`, if `b` is the
        profile of another application, or if `b` is one of `profiles`. Among several such splits,
        one with a file `a.*` wins, then the one with the longest application. Without such a split
        it is the base bundle of `a-b`. The application `application` and the profile `default`
        always count. The result is a guess unless exactly one split is possible, or the name has
        no `-`; and also if the name is evidently an application itself, because it has files with
        profiles of others: `orders-service.yml` beside `orders-service-prod.yml`.

        A file counts only as a bundle that a fetch looks for in its directory.
        """
        found: dict[ConfigKey, ListedKey] = {}
        for row in self.listed(label, names).values():
            if not (row.key in found and row.is_guess):
                found[row.key] = row
        return _ordered(found.values())

    def listed(self, label: str, names: Iterable[str]) -> Mapping[str, ListedKey]:
        """Return the bundle that `keys` names for each file."""
        files = [*self._files(names)]
        stems = {stem for _, stem, _ in files}
        named = self.profiles | {DEFAULT_PROFILE}
        proven = _proven_profiles(stems)
        profiles = named | proven.keys()
        evident = _evident_applications(stems, named, proven)
        found: dict[str, ListedKey] = {}
        for path, stem, directory in files:
            row = self._listed(stem, directory, label, stems, profiles)
            if row is not None and not row.key.is_base and stem in evident:
                base = key_or_none(stem, BASE_PROFILE, label)
                row = replace(row, is_guess=True, also=base)
            if row is not None:
                found[path] = row
        return found

    def _files(self, names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield the paths of files of bundles, their names without suffixes, their directories."""
        if self.search.is_root_only:
            for path, stem in stems_of(names, self.suffixes):
                yield path, stem, ROOT
            return
        for path in names:
            directory, _, name = path.rpartition("/")
            for _, stem in stems_of([name], self.suffixes):
                yield path, stem, directory

    def _listed(
        self,
        stem: str,
        directory: str,
        label: str,
        stems: Collection[str],
        profiles: Collection[str],
    ) -> ListedKey | None:
        def key_of(application: str, profile: str) -> ConfigKey | None:
            key = key_or_none(application, profile, label)
            is_found = key is not None and self.search.includes(directory, key)
            return key if is_found else None

        splits = [split for split in splits_of(stem) if key_of(*split) is not None]
        with_file = [split for split in splits if _is_application(split[0], stems)]
        proven = with_file + [
            split for split in splits if split[1] in profiles and split not in with_file
        ]
        bases = [(stem, BASE_PROFILE)]  # too long a name cannot be that of an application
        keys = (key_of(*names) for names in (*proven[:1], *bases, *splits[:1]))
        key = next((key for key in keys if key is not None), None)
        is_guess = bool(splits) and len(proven) != 1
        return None if key is None else ListedKey(key=key, is_guess=is_guess)

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return the base bundle of that name, and the bundles of all its splits."""
        return readings_of(label, name, self.suffixes)

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a base bundle if its file would be listed as a profile.

        Raises:
            InvalidConfigKeyError: The file would be listed as a profile, or the application
                contains `/`.
        """
        if "/" in key.application:
            raise _nested(key)
        if key.is_base and "-" in key.application:
            new = key.stem + self.new_suffix
            places = self.search.locations(RequestedNames.of_key(key), key.label)
            present = {*names(), *(below(place, new) for place in places)}
            if all(row.key != key for row in self.keys(key.label, present)):
                raise _misread(
                    key,
                    "beside the existing files, the file of this base bundle would be read as a "
                    "profile; save it",
                )


def parse_layout(options: dict[str, str], *, in_git: bool = False) -> tuple[Layout, str | None]:
    """Return the layout for the options of a URL: `layout`, `label`, `profiles`, `search`.

    Args:
        options: The options; those of the layout are removed.
        in_git: True for a Git store, where labels are branches and tags; see `parse_search`.

    Returns:
        The layout, and the only label; `None` if each label is a directory, a branch or a tag.

    Raises:
        BackendLookupError: The layout is unknown, or does not have one of the options.
        InvalidConfigKeyError: The label or a profile is not acceptable.
    """
    name = options.pop("layout", "labels")
    if name == "labels":
        if given := sorted({"label", "profiles", "search"} & options.keys()):
            raise BackendLookupError(f"use {given[0]}= with layout=spring only")
        return LabelsLayout(), None
    if name not in {"spring", "flat"}:
        raise BackendLookupError("layout= must be 'labels' or 'spring'")
    profiles = options.pop("profiles", "")
    layout = SpringLayout(
        profiles=frozenset(split_profiles(profiles) if profiles else ()),
        search=parse_search(options.pop("search", ROOT), in_git=in_git),
    )
    if in_git:
        return layout, None
    label = options.pop("label", DEFAULT_LABEL)
    check_name("label", label)
    return layout, label


def _proven_profiles(stems: Collection[str]) -> dict[str, set[str]]:
    """Return the profiles of applications that have a base file, with these applications."""
    found: dict[str, set[str]] = {}
    for stem in stems:
        for application, profile in splits_of(stem):
            if _is_application(application, stems):
                found.setdefault(profile, set()).add(application)
    return found


def _evident_applications(
    stems: Collection[str], named: Collection[str], proven: Mapping[str, set[str]]
) -> set[str]:
    """Return the names that have a profile which is named, or is one of other applications."""
    return {
        application
        for stem in stems
        for application, profile in splits_of(stem)
        if profile in named or proven.get(profile, set()) - {application}
    }


def _is_application(name: str, stems: Collection[str]) -> bool:
    return name in stems or name == SHARED_APPLICATION


def _ordered(rows: Iterable[ListedKey]) -> list[ListedKey]:
    return sorted(rows, key=lambda row: row.key.sort_key)


def _misread(key: ConfigKey, reason: str) -> InvalidConfigKeyError:
    return InvalidConfigKeyError("application", key.application, f"{reason} without '-'")


def _nested(key: ConfigKey) -> InvalidConfigKeyError:
    return InvalidConfigKeyError(
        "application",
        key.application,
        "the '/' would be read as the end of a label; save it without '/'",
    )
