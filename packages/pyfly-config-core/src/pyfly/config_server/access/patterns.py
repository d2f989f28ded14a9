"""Patterns of bundles and of plain files. Pure."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

from pyfly.config_core import BASE_PROFILE, ConfigKey, decode_slashes, encode_slashes
from pyfly.config_core.limits import MAX_NAME_LENGTH, MAX_PATH_LENGTH, MAX_PROFILE_LENGTH
from pyfly.config_server.storage.name_patterns import ANY, name_matcher

__all__ = ["BundlePattern", "PathPattern"]

_ELEMENT: Final = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9._@+*-]*")
_PROFILE: Final = re.compile(r"[A-Za-z0-9*](?:[A-Za-z0-9._@+*-]*[A-Za-z0-9*])?")
_PATH_ELEMENT: Final = re.compile(r"[A-Za-z0-9_*](?:[A-Za-z0-9._@+* -]*[A-Za-z0-9._@+*-])?")
_DEEP: Final = "**"
_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class BundlePattern:
    """`application/profile/label`, in which `*` stands for any text, also for none.

    A `/` in an application is written `(_)`; the label is the rest, with its slashes or with
    `(_)`. `*` also stands for `/`, and as a profile for that of base bundles, `-`. Case matters.

    >>> BundlePattern("orders/*/release/*").matches(
    ...     ConfigKey(application="orders", profile="-", label="release/1.4")
    ... )
    True

    Raises:
        ValueError: The text is not such a pattern.
    """

    text: str
    _application: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _profile: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _label: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = self.text.split("/", _PARTS - 1)
        if len(parts) != _PARTS:
            raise ValueError(
                f"the pattern {_shown(self.text)} needs three parts, application/profile/label, "
                "such as 'orders/*/*'"
            )
        application, profile, label = decode_slashes(parts[0]), parts[1], decode_slashes(parts[2])
        _check_name("application", application)
        if profile != BASE_PROFILE:
            _check("profile", profile, _PROFILE, MAX_PROFILE_LENGTH)
        _check_name("label", label)
        text = f"{encode_slashes(application)}/{profile}/{label}"
        object.__setattr__(self, "text", text)
        for name, part in (("_application", application), ("_profile", profile), ("_label", label)):
            object.__setattr__(self, name, name_matcher(part))

    def __str__(self) -> str:
        return self.text

    @classmethod
    def everything(cls) -> Self:
        """Return the pattern of all bundles."""
        return cls("*/*/*")

    @property
    def is_everything(self) -> bool:
        """True if it matches all bundles."""
        return self.text == "*/*/*"

    def matches(self, key: ConfigKey) -> bool:
        """True for a bundle, or for a document named by one application, profile and label."""
        return (
            self._application.fullmatch(key.application) is not None
            and self._profile.fullmatch(key.profile) is not None
            and self.matches_label(key.label)
        )

    def matches_label(self, label: str) -> bool:
        """True if it matches some bundle under a label."""
        return self._label.fullmatch(label) is not None


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path of plain files below a label.

    `*` stands for any text without `/`. `**` between slashes stands for any number of parts, also
    for none; at the end for one or more: `orders/**` is everything below `orders`.

    >>> PathPattern("orders/**").matches("orders/certs/ca.pem")
    True

    Raises:
        ValueError: The text is not such a pattern.
    """

    text: str
    _parts: tuple[re.Pattern[str] | None, ...] = field(init=False, repr=False, compare=False)
    """`None` for `**`."""

    def __post_init__(self) -> None:
        if len(self.text) > MAX_PATH_LENGTH:
            raise ValueError(f"a pattern of paths has at most {MAX_PATH_LENGTH} characters")
        parts = self.text.split("/")
        if parts == [""] or any(one == two == _DEEP for one, two in pairwise(parts)):
            raise ValueError(f"the pattern {_shown(self.text)} is empty, or repeats '**'")
        for part in parts:
            if part != _DEEP and (
                not _PATH_ELEMENT.fullmatch(part) or _DEEP in part or ".." in part
            ):
                raise ValueError(
                    f"the pattern {_shown(self.text)} is not a path below a label, such as "
                    "'orders/**' or '*.conf'; '**' stands alone between slashes"
                )
        found = tuple(None if part == _DEEP else name_matcher(part) for part in parts)
        object.__setattr__(self, "_parts", found)

    def __str__(self) -> str:
        return self.text

    @property
    def is_everything(self) -> bool:
        """True if it matches all paths."""
        return self.text == _DEEP

    def matches(self, path: str) -> bool:
        """True for the path of a plain file below its label."""
        given = path.split("/")
        reached = {0}  # numbers of parts of the pattern that can match what was read so far
        for part in given:
            reached = {one for start in self._skipped(reached) for one in self._step(start, part)}
        return len(self._parts) in reached

    def _skipped(self, reached: set[int]) -> set[int]:
        """Add the positions after a `**` that stands for nothing."""
        last = len(self._parts) - 1
        skipped = {at + 1 for at in reached if at < last and self._parts[at] is None}
        return reached | skipped

    def _step(self, at: int, part: str) -> tuple[int, ...]:
        if at == len(self._parts):
            return ()
        matcher = self._parts[at]
        if matcher is None:
            return (at, at + 1)
        return (at + 1,) if matcher.fullmatch(part) else ()


def _check_name(what: str, text: str) -> None:
    for element in text.split("/"):
        _check(what, element, _ELEMENT, MAX_NAME_LENGTH)
    if len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"a pattern of a {what} has at most {MAX_NAME_LENGTH} characters")


def _check(what: str, text: str, allowed: re.Pattern[str], longest: int) -> None:
    if not allowed.fullmatch(text) or ".." in text or ANY * 2 in text or len(text) > longest:
        raise ValueError(
            f"the {what} {_shown(text)} of a pattern is not a name in which '*' stands for any text"
        )


def _shown(text: str) -> str:
    return repr(text[:MAX_NAME_LENGTH])
