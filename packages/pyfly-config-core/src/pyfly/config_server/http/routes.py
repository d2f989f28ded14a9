"""The route table and the way from a raw path to a route (contract §1, §11.2).

The path is taken as sent, split at its slashes, and every segment is decoded exactly once. How
long a target may be is checked before anything else; matching takes time in proportion to it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from pyfly.config_core import InvalidConfigKeyError
from pyfly.config_core.limits import (
    MAX_LIST_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PATH_LENGTH,
    MAX_PROFILE_LENGTH,
)

Operation: TypeAlias = Literal[
    "environment",
    "flattened",
    "resource",
    "openapi",
    "bundles",
    "bundle",
    "history",
    "version",
    "rollback",
    "encryptionStatus",
    "publicKey",
    "encrypt",
    "decrypt",
]

READ_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_POST: Final = ("POST", "OPTIONS")
_WRITING: Final = frozenset({("bundle", "PUT"), ("bundle", "DELETE"), ("rollback", "POST")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table."""

    operation: Operation
    """What answers it."""
    segments: tuple[str, ...]
    """Literals, and parameters in braces."""
    summary: str
    """One sentence for the OpenAPI document."""
    methods: tuple[str, ...] = READ_METHODS
    """What is allowed; anything else is a 405."""
    query: str | None = None
    """A parameter that the query must have."""

    def writes(self, method: str) -> bool:
        """Tell whether a request changes what is stored."""
        return (self.operation, method) in _WRITING

    def takes(self, count: int) -> bool:
        """Tell whether a path of `count` segments can be of this route."""
        if self.takes_rest:
            return count >= len(self.segments)
        return count == len(self.segments)

    @property
    def takes_rest(self) -> bool:
        """Whether the last parameter is all the segments that are left; one on demand only."""
        return self.segments[-1] == _PATH and self.query is None

    @property
    def template(self) -> str:
        """The path below the base path, as OpenAPI writes it."""
        return "/" + "/".join(self.segments)


_PATH: Final = "{path}"
_FLATTENED: Final = "{name}-{profiles}.{extension}"
_BUNDLE: Final = ("_bundles", "{application}", "{profile}", "{label}")

_ENCRYPTION: Final[tuple[tuple[Operation, tuple[str], tuple[str, ...], str], ...]] = (
    ("publicKey", ("key",), READ_METHODS, "The public key that encrypts."),
    ("encrypt", ("encrypt",), _POST, "The cipher text of a text."),
    ("decrypt", ("decrypt",), _POST, "The clear text of a cipher text."),
)

ROUTES: Final = (
    Route(
        operation="openapi",
        segments=("_openapi.json",),
        summary="This description of the interface.",
    ),
    Route(
        operation="bundles",
        segments=("_bundles",),
        summary="The names and versions of the stored bundles, without values.",
    ),
    Route(
        operation="bundle",
        segments=_BUNDLE,
        summary="One bundle as it is stored.",
        methods=("GET", "HEAD", "PUT", "DELETE", "OPTIONS"),
    ),
    Route(
        operation="history",
        segments=(*_BUNDLE, "history"),
        summary="The changes of a bundle, newest first.",
    ),
    Route(
        operation="version",
        segments=(*_BUNDLE, "history", "{version}"),
        summary="A bundle as it was at a version.",
    ),
    Route(
        operation="rollback",
        segments=(*_BUNDLE, "rollback"),
        summary="Stores the content of an old version anew.",
        methods=_POST,
    ),
    Route(
        operation="encryptionStatus",
        segments=("encrypt", "status"),
        summary="Whether there is a key.",
    ),
    *(
        Route(operation=operation, segments=(*start, *names), summary=summary, methods=methods)
        for operation, start, methods, summary in _ENCRYPTION
        for names in ((), ("{name}", "{profiles}"))
    ),
    Route(
        operation="flattened",
        segments=(_FLATTENED,),
        summary="The effective properties of an application at the default label, as one text.",
    ),
    Route(
        operation="flattened",
        segments=("{label}", _FLATTENED),
        summary="The effective properties of an application at a label, as one text.",
    ),
    Route(
        operation="environment",
        segments=("{name}", "{profiles}"),
        summary="The property sources of an application at the default label.",
    ),
    Route(
        operation="resource",
        segments=("{name}", "{profiles}", _PATH),
        summary="A plain file at the default label.",
        query="useDefaultLabel",
    ),
    Route(
        operation="environment",
        segments=("{name}", "{profiles}", "{label}"),
        summary="The property sources of an application at a label.",
    ),
    Route(
        operation="resource",
        segments=("{name}", "{profiles}", "{label}", _PATH),
        summary="A plain file at a label, with the placeholders of a text replaced.",
    ),
)
"""In order of precedence; the first match wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A route and what its parameters hold, decoded once."""

    route: Route
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    methods: tuple[str, ...] = READ_METHODS
    """Where the method is not one of the route's: what is allowed for this path by any route."""


# Every byte may come as `%XX`, and a slash in a name as `(_)`: three bytes each, so nine.
_ESCAPED: Final = 3
_SLASH: Final = 3 * _ESCAPED
_LONGEST_NAME: Final = MAX_NAME_LENGTH // 2 * (_ESCAPED + _SLASH)
_LONGEST_NAMES: Final = MAX_LIST_LENGTH * (_LONGEST_NAME + _ESCAPED)
_LONGEST_PROFILES: Final = MAX_LIST_LENGTH * (MAX_PROFILE_LENGTH + 1) * _ESCAPED
MAX_PATH_BYTES: Final = 2 * _LONGEST_NAMES + _LONGEST_PROFILES + MAX_PATH_LENGTH * _ESCAPED + 4
"""Bytes of the longest path below the base path that can name something: a list of applications,
one of profiles, one of labels, and a plain file, as long as names and lists may be, with every
character percent-encoded. Anything longer is a 414, before it is looked at."""
MAX_QUERY_BYTES: Final = 8_192
"""Bytes of the longest query: five parameters of `_bundles` need a quarter of it."""

# A second segment that looks like a file is not an environment (contract §1.2).
_FILE_LIKE: Final = re.compile(r"\b\.(?:ya?ml|properties|json)\b")
_EXTENSIONS: Final = frozenset({"json", "properties", "yaml", "yml"})
# First segments that never name an application (contract §11.3), and shapes of later routes.
_NEVER_NAMES: Final = frozenset({"actuator", "monitor"})
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffd]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def find_route(raw_path: bytes, method: str, *, base_path: str, query: bytes = b"") -> Match | None:
    """Return the route of a request, or `None` when there is none for its path.

    Where routes exist for the path, but none for the method, the first of them is returned, with
    the methods of all; so it is for `OPTIONS`.

    Args:
        raw_path: The whole path, still percent-encoded.
        method: In upper case.
        base_path: What has to stand in front of every route.
        query: As sent; one route is told by a parameter.

    Raises:
        InvalidConfigKeyError: The path holds what no route accepts: an encoded slash outside
            the label, a backslash, a control character, invalid UTF-8 or a broken escape.
    """
    prefix = base_path.encode() + b"/"
    if not raw_path.startswith(prefix):
        return None
    segments = _decoded(raw_path[len(prefix) :])
    found: list[Match] = []
    for route in ROUTES:
        if (
            route.takes(len(segments))
            and (route.query is None or _has(query, route.query))
            and (match := _match(route, segments))
        ):
            if method in route.methods and method != "OPTIONS":
                return match
            found.append(match)
    if not found:
        return None
    methods = dict.fromkeys(one for match in found for one in match.route.methods)
    return replace(found[0], methods=tuple(methods))


def is_too_long(raw_path: bytes, query: bytes, *, base_path: str) -> bool:
    """True if the target of a request is longer than any that names something."""
    return len(raw_path) > len(base_path) + MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES


def _has(query: bytes, name: str) -> bool:
    return any(part.partition(b"=")[0] == name.encode() for part in query.split(b"&"))


def is_own(raw_path: bytes, *, base_path: str) -> bool:
    """Tell whether a path is one of ours rather than the contract's: it begins with `_`."""
    return raw_path.startswith(base_path.encode() + b"/_")


def _decoded(raw: bytes) -> tuple[str, ...]:
    """Return the segments of a path, each decoded once."""
    shown = raw.decode("ascii", "backslashreplace")
    if _BAD_ESCAPE.search(raw):
        raise InvalidConfigKeyError("path", shown, "a percent escape is broken")
    try:
        segments = tuple(
            unquote_to_bytes(part).decode() if "%" in part else part
            for part in raw.decode().split("/")
        )
    except UnicodeDecodeError as error:
        raise InvalidConfigKeyError("path", shown, "it is not UTF-8") from error
    if _FORBIDDEN.search("/".join(segments)):
        raise InvalidConfigKeyError("path", shown, "control characters and '\\' are not allowed")
    return segments


def _match(route: Route, segments: tuple[str, ...]) -> Match | None:
    if not all(segments) or (parameters := _parameters(route, segments)) is None:
        return None
    if route.operation in {"environment", "resource"} and not _is_environment(segments):
        return None
    if route.operation == "flattened" and segments[0].startswith("_"):
        return None
    for name, text in parameters.items():
        if "/" in text and name != "label":
            raise InvalidConfigKeyError(name, text, "an encoded '/' is allowed in the label only")
    if route.takes_rest:
        rest = segments[len(route.segments) - 1 :]
        if any("/" in part for part in rest):
            raise InvalidConfigKeyError("path", "/".join(rest), "an encoded '/' is not allowed")
        parameters["path"] = "/".join(rest)
    return Match(route=route, parameters=parameters)


def _parameters(route: Route, segments: tuple[str, ...]) -> dict[str, str] | None:
    """Return what the parameters of a route hold, `None` when a segment is another."""
    parameters: dict[str, str] = {}
    for expected, given in zip(route.segments, segments, strict=False):
        found = _matched(expected, given)
        if found is None:
            return None
        parameters |= found
    return parameters


def _matched(expected: str, given: str) -> dict[str, str] | None:
    """Return what a segment of a route holds, `None` when `given` is not one."""
    if expected == _FLATTENED:
        return split_flattened(given)
    if expected.startswith("{"):
        return {expected[1:-1]: given}
    return {} if given == expected else None


def split_flattened(text: str) -> dict[str, str] | None:
    """Return the parts of `{name}-{profiles}.{extension}`, `None` for any other text.

    The last `-` that has something on both sides splits the name.

    >>> split_flattened("my-app-prod.yml")
    {'name': 'my-app', 'profiles': 'prod', 'extension': 'yml'}
    """
    stem, _, extension = text.rpartition(".")
    dash = stem.rfind("-", 1, max(len(stem) - 1, 0))
    if extension not in _EXTENSIONS or dash < 0:
        return None
    return {"name": stem[:dash], "profiles": stem[dash + 1 :], "extension": extension}


def _is_environment(segments: tuple[str, ...]) -> bool:
    first, second = segments[0], segments[1]
    if first.startswith("_") or first in _NEVER_NAMES:
        return False
    return len(segments) > 2 or not _FILE_LIKE.search(second)  # noqa: PLR2004 - row 8 takes dots
