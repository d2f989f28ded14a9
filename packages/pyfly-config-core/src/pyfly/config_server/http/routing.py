"""The route table: from a raw path to an endpoint.

The raw path is split at its slashes, and every segment is decoded exactly once. The length of a
target is checked first; matching takes linear time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from pyfly.config_core import InvalidConfigKeyError
from pyfly.config_core.limits import (
    MAX_LIST_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PATH_LENGTH,
    MAX_PROFILE_LENGTH,
)
from pyfly.config_server.http.endpoint import Endpoint, Root

__all__ = [
    "MAX_PATH_BYTES",
    "MAX_QUERY_BYTES",
    "Match",
    "RouteTable",
    "is_too_long",
    "split_flattened",
]

# A byte may be sent as `%XX`, and a slash in a name as `(_)`: three bytes each, so nine.
_ESCAPED: Final = 3
_SLASH: Final = 3 * _ESCAPED
_LONGEST_NAME: Final = MAX_NAME_LENGTH // 2 * (_ESCAPED + _SLASH)
_LONGEST_NAMES: Final = MAX_LIST_LENGTH * (_LONGEST_NAME + _ESCAPED)
_LONGEST_PROFILES: Final = MAX_LIST_LENGTH * (MAX_PROFILE_LENGTH + 1) * _ESCAPED
MAX_PATH_BYTES: Final = 2 * _LONGEST_NAMES + _LONGEST_PROFILES + MAX_PATH_LENGTH * _ESCAPED + 4
"""Bytes of the longest valid path below the base path: lists of applications, profiles and labels
and a plain file, of the largest length, with every character percent-encoded. Longer paths are
answered with 414 without parsing."""
MAX_QUERY_BYTES: Final = 8_192
"""Bytes of the longest query. Five parameters of `_bundles` need a quarter of it."""

_REST: Final = "{path}"
_FLATTENED: Final = "{name}-{profiles}.{extension}"
_EXTENSIONS: Final = frozenset({"json", "properties", "yaml", "yml"})
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffd]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The endpoint of a request, with the parameters of the path."""

    endpoint: Endpoint
    parameters: Mapping[str, str]
    """Decoded once."""
    methods: tuple[str, ...] = ()
    """All methods of this path if the endpoint does not accept the method; otherwise empty."""
    patch_types: tuple[str, ...] = ()
    """With `methods`: the media types of patches; empty if the path has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """An endpoint, with its path split into segments."""

    endpoint: Endpoint
    segments: tuple[str, ...]
    takes_rest: bool

    def takes(self, count: int) -> bool:
        """True if a path of `count` segments can match this route."""
        return count == len(self.segments) or (self.takes_rest and count > len(self.segments))

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """Return the parameters, `None` if the path does not match.

        Raises:
            InvalidConfigKeyError: A parameter other than the label holds an encoded slash.
        """
        parameters = self._parameters(segments)
        if parameters is None or not self.endpoint.accepts(segments):
            return None
        for name, text in parameters.items():
            if "/" in text and name != "label":
                raise InvalidConfigKeyError(
                    name, text, "an encoded '/' is allowed in the label only"
                )
        if self.takes_rest:
            rest = segments[len(self.segments) - 1 :]
            if any("/" in part for part in rest):
                raise InvalidConfigKeyError("path", "/".join(rest), "an encoded '/' is not allowed")
            parameters["path"] = "/".join(rest)
        return parameters

    def _parameters(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        parameters: dict[str, str] = {}
        for expected, given in zip(self.segments, segments, strict=False):
            if expected[0] != "{":
                if expected != given:
                    return None
            elif expected != _FLATTENED:
                parameters[expected[1:-1]] = given
            elif (split := split_flattened(given)) is not None:
                parameters |= split
            else:
                return None
        return parameters


class RouteTable:
    """Endpoints in order of precedence. The first match wins.

    Args:
        endpoints: The endpoints.
        base_path: The beginning of every path of `Root.BASE_PATH`.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, base_path: str) -> None:
        self.endpoints: Final = tuple(endpoints)
        self._prefix = base_path.encode() + b"/"
        self._at_root = {one.path.encode(): one for one in endpoints if one.root is Root.HOST}
        self._routes = tuple(_route(one) for one in endpoints if one.root is Root.BASE_PATH)
        self._by_count: dict[int, tuple[_Route, ...]] = {
            count: tuple(route for route in self._routes if route.takes(count))
            for count in range(max((len(one.segments) for one in self._routes), default=0) + 2)
        }

    @property
    def root_paths(self) -> frozenset[str]:
        """The paths of the endpoints of `Root.HOST`."""
        return frozenset(one.path for one in self._at_root.values())

    def find_at_root(self, raw_path: bytes, method: str) -> Match | None:
        """Return the endpoint of `Root.HOST` at exactly this path; `methods` as in `find`."""
        endpoint = self._at_root.get(raw_path)
        if endpoint is None:
            return None
        match = Match(endpoint=endpoint, parameters={})
        return match if method in endpoint.methods else _without_method([match])

    def find(self, raw_path: bytes, method: str, *, query: bytes = b"") -> Match | None:
        """Return the endpoint below the base path, or `None` if no endpoint has this path.

        If endpoints have the path but not the method, the first of them is returned with the
        methods of all. This includes `OPTIONS`.

        Args:
            raw_path: The complete path, still percent-encoded.
            method: In upper case.
            query: The query as sent, for endpoints with a `selector`.

        Raises:
            InvalidConfigKeyError: The path holds an encoded slash outside of the label, a
                backslash, a control character, invalid UTF-8 or a broken escape.
        """
        if not raw_path.startswith(self._prefix):
            return None
        segments = _decoded(raw_path[len(self._prefix) :])
        if not all(segments):
            return None
        found: list[Match] = []
        for route in self._candidates(len(segments)):
            endpoint = route.endpoint
            if endpoint.selector is not None and not _has(query, endpoint.selector):
                continue
            parameters = route.match(segments)
            if parameters is None:
                continue
            if method in endpoint.methods:
                return Match(endpoint=endpoint, parameters=parameters)
            found.append(Match(endpoint=endpoint, parameters=parameters))
        return _without_method(found)

    def _candidates(self, count: int) -> tuple[_Route, ...]:
        """Return the routes for paths of `count` segments; the same for all longer paths."""
        return self._by_count[min(count, len(self._by_count) - 1)]


def _route(endpoint: Endpoint) -> _Route:
    segments = tuple(endpoint.path[1:].split("/"))
    takes_rest = segments[-1] == _REST and endpoint.selector is None
    return _Route(endpoint=endpoint, segments=segments, takes_rest=takes_rest)


def _without_method(found: Sequence[Match]) -> Match | None:
    if not found:
        return None
    methods = dict.fromkeys(method for match in found for method in match.endpoint.methods)
    return Match(
        endpoint=found[0].endpoint,
        parameters=found[0].parameters,
        methods=(*methods, "OPTIONS"),
        patch_types=tuple(
            media_type
            for match in found
            if match.endpoint.method == "PATCH" and match.endpoint.body is not None
            for media_type in match.endpoint.body.content
        ),
    )


def is_too_long(raw_path: bytes, query: bytes, *, base_path: str) -> bool:
    """True if the target of a request is longer than every valid target."""
    return len(raw_path) > len(base_path) + MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES


def _has(query: bytes, name: str) -> bool:
    return any(part.partition(b"=")[0] == name.encode() for part in query.split(b"&"))


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
        raise InvalidConfigKeyError("path", shown, "not UTF-8") from error
    if _FORBIDDEN.search("/".join(segments)):
        raise InvalidConfigKeyError("path", shown, "control characters and '\\' are not allowed")
    return segments


def split_flattened(text: str) -> dict[str, str] | None:
    """Return the parts of `{name}-{profiles}.{extension}`, `None` for any other text.

    The last `-` with text on both sides splits the name.

    >>> split_flattened("my-app-prod.yml")
    {'name': 'my-app', 'profiles': 'prod', 'extension': 'yml'}
    """
    stem, _, extension = text.rpartition(".")
    dash = stem.rfind("-", 1, max(len(stem) - 1, 0))
    if extension not in _EXTENSIONS or dash < 0:
        return None
    return {"name": stem[:dash], "profiles": stem[dash + 1 :], "extension": extension}
