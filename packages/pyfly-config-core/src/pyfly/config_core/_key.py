"""Names of bundles and the rules for them: docs/reference/protocol.md, Names.

Every name that comes from outside is checked here once, before anything is looked up.
The rules are allow-lists in ASCII, so that no two spellings of a name can differ in meaning.
"""

import re
from dataclasses import dataclass
from typing import Final

from pyfly.config_core.errors import InvalidConfigKeyError
from pyfly.config_core.limits import (
    MAX_LIST_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PATH_LENGTH,
    MAX_PROFILE_LENGTH,
)

DEFAULT_LABEL: Final = "main"
"""The label of requests that name none, unless the server is told another one."""
DEFAULT_PROFILE: Final = "default"
"""The profile whose bundles every profile gets."""
SHARED_APPLICATION: Final = "application"
"""The application whose bundles every application gets."""
BASE_PROFILE: Final = "-"
"""The profile of bundles that count for every profile, such as `orders.yml`. It is legal as the
name of a stored bundle only, never in a request for a document."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._@+-]*)*")
_PATH_ELEMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+ -]*[A-Za-z0-9._@+-])?")
_PROFILE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]*[A-Za-z0-9])?")
_RESERVED: Final = frozenset({"actuator", "decrypt", "encrypt", "key", "monitor"})
_SLASH_ESCAPE: Final = "(_)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigKey:
    """The name of one bundle. An instance is always valid.

    Raises:
        InvalidConfigKeyError: A part is not acceptable.
    """

    application: str
    """One application; parts between slashes are allowed."""
    profile: str
    """One profile, or `BASE_PROFILE`."""
    label: str = DEFAULT_LABEL
    """One label; parts between slashes are allowed, as in `feature/x`."""

    def __post_init__(self) -> None:
        check_name("application", self.application)
        if self.profile != BASE_PROFILE:
            check_profile(self.profile)
        check_name("label", self.label)

    def __str__(self) -> str:
        return f"{self.application}/{self.profile}/{self.label}"

    @property
    def is_base(self) -> bool:
        """True if this is the name of a base bundle, which counts for every profile."""
        return self.profile == BASE_PROFILE

    @property
    def stem(self) -> str:
        """The name of its file without a suffix: `orders-prod`, or `orders` for a base bundle."""
        return self.application if self.is_base else f"{self.application}-{self.profile}"

    @property
    def sort_key(self) -> tuple[str, str, str]:
        """The sort key of listings: label, application, profile."""
        return (self.label, self.application, self.profile)


def check_name(field: str, text: str) -> None:
    """Refuse `text` unless it is one acceptable application or label.

    Raises:
        InvalidConfigKeyError: The name breaks a rule; the message names `field`.
    """
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidConfigKeyError(field, text, f"longer than {MAX_NAME_LENGTH} characters")
    if not _NAME.fullmatch(text):
        raise InvalidConfigKeyError(
            field, text, "use letters, digits and . _ @ + -, beginning with a letter or digit"
        )
    if ".." in text:
        raise InvalidConfigKeyError(field, text, "'..' is not allowed")


def check_profile(text: str) -> None:
    """Refuse `text` unless it is one acceptable profile.

    Raises:
        InvalidConfigKeyError: The profile breaks a rule.
    """
    if len(text) > MAX_PROFILE_LENGTH:
        raise InvalidConfigKeyError("profile", text, f"longer than {MAX_PROFILE_LENGTH} characters")
    if not _PROFILE.fullmatch(text):
        raise InvalidConfigKeyError(
            "profile",
            text,
            "use letters, digits and . _ @ + -, with a letter or digit first and last",
        )
    if ".." in text:
        raise InvalidConfigKeyError("profile", text, "'..' is not allowed")


def check_path(text: str) -> None:
    """Refuse `text` unless it is an acceptable path of a plain file.

    Raises:
        InvalidConfigKeyError: The path breaks a rule.
    """
    if len(text) > MAX_PATH_LENGTH:
        raise InvalidConfigKeyError("path", text, f"longer than {MAX_PATH_LENGTH} characters")
    for element in text.split("/"):
        if not _PATH_ELEMENT.fullmatch(element) or ".." in element:
            raise InvalidConfigKeyError(
                "path",
                text,
                "use letters, digits, blanks and . _ @ + - between slashes, without '..', each "
                "part beginning with a letter or digit",
            )


def check_not_reserved(key: ConfigKey) -> None:
    """Refuse to store a bundle under a name that is a route of the server.

    Raises:
        InvalidConfigKeyError: The application is a route's name, or it or the label begins
            with `_`.
    """
    if key.application in _RESERVED:
        raise InvalidConfigKeyError("application", key.application, "the name is reserved")
    for field, text in (("application", key.application), ("label", key.label)):
        if text.startswith("_"):
            raise InvalidConfigKeyError(field, text, "a first '_' is reserved")


def split_names(field: str, text: str) -> tuple[str, ...]:
    """Return the names of a comma list of applications or labels, in order, without repetitions.

    Raises:
        InvalidConfigKeyError: An element is empty or not acceptable, or there are too many.
    """
    elements = _split(field, text)
    for element in elements:
        check_name(field, element)
    return tuple(dict.fromkeys(elements))


def split_profiles(text: str) -> tuple[str, ...]:
    """Return the profiles of a comma list, in order, without repetitions.

    Raises:
        InvalidConfigKeyError: An element is empty or not acceptable, or there are too many.
    """
    elements = _split("profile", text)
    for element in elements:
        check_profile(element)
    return tuple(dict.fromkeys(elements))


def _split(field: str, text: str) -> list[str]:
    elements = text.split(",")
    if len(elements) > MAX_LIST_LENGTH:
        raise InvalidConfigKeyError(field, text, f"more than {MAX_LIST_LENGTH} elements")
    return elements


def decode_slashes(text: str) -> str:
    """Replace Spring's `(_)` by the slash it stands for."""
    return text.replace(_SLASH_ESCAPE, "/")


def encode_slashes(text: str) -> str:
    """Replace slashes by Spring's `(_)`, as a path segment carries them."""
    return text.replace("/", _SLASH_ESCAPE)
