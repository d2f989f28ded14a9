"""Layouts: how the names of files tell bundles, and which of several files a bundle is made of.

A layout is a value. `LabelsLayout` is the default one; `SpringLayout` is that of a repository of
Spring Cloud Config. Pure functions; nothing is opened here.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
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

__all__ = [
    "PROPERTIES_SUFFIX",
    "LabelsLayout",
    "Layout",
    "ListedKey",
    "SpringLayout",
    "parse_layout",
]

PROPERTIES_SUFFIX: Final = ".properties"
"""Files with it are read, never rewritten or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A bundle that the names of files tell."""

    key: ConfigKey
    is_guess: bool = False
    """True if the names leave open which bundle it is."""


class Layout(Protocol):
    """How the files of one label are named."""

    has_label_directories: ClassVar[bool]
    """Whether each label is a directory; else the files of one label lie in the root."""
    default_is_base: ClassVar[bool]
    """Whether bundles of the profile `default` count for every profile."""
    reads_all: ClassVar[bool]
    """Whether a bundle is made of all its files; else of the first that exists."""
    new_suffix: ClassVar[str]
    """The suffix of the file of a new bundle."""

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names of the files of a bundle, the highest precedence first."""
        ...

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles among the files of a label, ordered, each once."""
        ...

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return every bundle as which a file can be asked for; none if it is no bundle."""
        ...

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a key whose file would be listed as another bundle.

        Args:
            key: What is to be saved.
            names: Tells the names of the files of its label.

        Raises:
            InvalidConfigKeyError: It would.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsLayout:
    """`<label>/<application>-<profile>.{yaml,yml,json,properties}`, one directory for each label.

    The first suffix that exists is read. A name is split at its last `-`; without one it is a
    base bundle. Bundles of the profile `default` count for every profile.
    """

    suffixes: ClassVar = (".yaml", ".yml", ".json", ".properties")
    has_label_directories: ClassVar = True
    default_is_base: ClassVar = True
    reads_all: ClassVar = False
    new_suffix: ClassVar = ".yaml"

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names under which a reader looks, in that order."""
        return tuple(key.stem + suffix for suffix in self.suffixes)

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles, split at the last `-`; with a second one that is a guess."""
        found: dict[ConfigKey, ListedKey] = {}
        for stem in stems_of(names, self.suffixes):
            application, dash, profile = stem.rpartition("-")
            key = (
                key_or_none(application, profile, label)
                if dash
                else key_or_none(stem, BASE_PROFILE, label)
            )
            if key is not None:
                found[key] = ListedKey(key=key, is_guess="-" in application)
        return _ordered(found.values())

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return the base bundle of that name, and that of every application and profile."""
        return readings_of(label, name, self.suffixes)

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a `-` where a listing would split the name, and applications with `/`.

        Raises:
            InvalidConfigKeyError: The profile contains `-`, the application contains `/`, or it
                is a base bundle and its application contains `-`.
        """
        del names  # the rule needs none of them
        if key.is_base and "-" in key.application:
            raise _misread(
                key, "the file of its base bundle would be read as that of a profile; save it"
            )
        if "-" in key.profile and not key.is_base:
            raise InvalidConfigKeyError(
                "profile",
                key.profile,
                "a file name cannot tell where such a profile begins; save it without '-'",
            )
        if "/" in key.application:
            raise _nested(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpringLayout:
    """`<application>[-<profile>].{properties,yml,yaml}`, as Spring Cloud Config reads it.

    Every file that exists counts: `.properties` before `.yml` before `.yaml`. JSON files are
    plain files. Bundles of the profile `default` count when that profile is asked for.
    """

    profiles: frozenset[str] = frozenset()
    """Names that are profiles in a listing, whatever files there are."""

    suffixes: ClassVar = (".properties", ".yml", ".yaml")
    has_label_directories: ClassVar = False
    default_is_base: ClassVar = False
    reads_all: ClassVar = True
    new_suffix: ClassVar = ".yml"

    def file_names(self, key: ConfigKey) -> tuple[str, ...]:
        """Return the names of all files of a bundle, the highest precedence first."""
        return tuple(key.stem + suffix for suffix in self.suffixes)

    def keys(self, label: str, names: Iterable[str]) -> list[ListedKey]:
        """Return the bundles that the names tell.

        `a-b` is the application `a` under the profile `b` when there is a file `a.*`, or `b` is
        the profile of another application, or one of `profiles`. Of several such splits the one
        with a file, then the one with the longest application is taken. Without any it is the
        base bundle of `a-b`. The application `application` and the profile `default` need no
        proof. It is a guess unless exactly one split holds, or the name has no `-`.
        """
        stems = set(stems_of(names, self.suffixes))
        profiles = self.profiles | {DEFAULT_PROFILE} | _proven_profiles(stems)
        rows = (self._listed(stem, label, stems, profiles) for stem in stems)
        return _ordered({row.key: row for row in rows if row is not None}.values())

    def _listed(
        self, stem: str, label: str, stems: Collection[str], profiles: Collection[str]
    ) -> ListedKey | None:
        splits = [*splits_of(stem)]
        with_file = [split for split in splits if _is_application(split[0], stems)]
        proven = with_file + [
            split for split in splits if split[1] in profiles and split not in with_file
        ]
        key = key_or_none(*(proven[0] if proven else (stem, BASE_PROFILE)), label)
        is_guess = bool(splits) and len(proven) != 1
        return None if key is None else ListedKey(key=key, is_guess=is_guess)

    def readings(self, label: str, name: str) -> list[ConfigKey]:
        """Return the base bundle of that name, and that of every application and profile."""
        return readings_of(label, name, self.suffixes)

    def check_writable(self, key: ConfigKey, names: Callable[[], Collection[str]]) -> None:
        """Refuse a base bundle whose file would be listed as that of a profile.

        Raises:
            InvalidConfigKeyError: It would, or the application contains `/`.
        """
        if "/" in key.application:
            raise _nested(key)
        if key.is_base and "-" in key.application:
            present = {*names(), key.stem + self.new_suffix}
            if all(row.key != key for row in self.keys(key.label, present)):
                raise _misread(
                    key,
                    "with the files that are there, the file of its base bundle would be read as "
                    "that of a profile; save it",
                )


def parse_layout(options: dict[str, str]) -> tuple[Layout, str | None]:
    """Take the layout out of the options of a URL: `layout`, `label`, `profiles`.

    Returns:
        The layout, and the only label, `None` where each label is a directory.

    Raises:
        BackendLookupError: It is another layout, or an option that does not go with it.
        InvalidConfigKeyError: The label or a profile is not acceptable.
    """
    name = options.pop("layout", "labels")
    if name == "labels":
        if given := sorted({"label", "profiles"} & options.keys()):
            raise BackendLookupError(f"{given[0]}= goes with layout=spring only")
        return LabelsLayout(), None
    if name not in {"spring", "flat"}:
        raise BackendLookupError("layout= is 'labels' or 'spring'")
    label = options.pop("label", DEFAULT_LABEL)
    check_name("label", label)
    profiles = options.pop("profiles", "")
    listed = split_profiles(profiles) if profiles else ()
    return SpringLayout(profiles=frozenset(listed)), label


def _proven_profiles(stems: Collection[str]) -> set[str]:
    """Return the profiles of applications that have a base file."""
    return {
        profile
        for stem in stems
        for application, profile in splits_of(stem)
        if _is_application(application, stems)
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
        "a path cannot tell such an application from a label; save it without '/'",
    )
