"""From a webhook to the names of the applications whose configuration has changed.

The rules are those of Spring Cloud Config's monitor; docs/reference/protocol.md lists them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

from pyfly.config_core import SHARED_APPLICATION
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = ["EVERY_APPLICATION", "MAX_PATHS", "MAX_PATH_LENGTH", "changed_applications"]

EVERY_APPLICATION: Final = "*"
MAX_PATHS: Final = 1_000
"""The largest number of paths in one request."""
MAX_PATH_LENGTH: Final = 512
"""The largest number of characters of a path."""
_MAX_NAMES: Final = 16
"""The largest number of names that one path can mean."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LISTS: Final = ("added", "removed", "modified")


def changed_applications(request: HttpRequest, document: Mapping[str, object]) -> list[str]:
    """Return the names of applications, in the order of the request, each once.

    A push that names more paths than the limits allow concerns every application, `*`.

    Args:
        request: The request, whose headers say which provider has sent it.
        document: Its body: an object of JSON, or a form.

    Returns:
        An empty list if the request is no push, or names no path.

    Raises:
        HttpError: 400; `path` is not a text or a list of texts, or is beyond the limits.
    """
    if _event(request, b"x-github-event") == "push" and (paths := _committed(document)):
        return _names_or_everything(paths)
    if "path" in document:
        return _named(document["path"])
    if _is_push_with_paths(request) and (paths := _committed(document)):
        return _names_or_everything(paths)
    return [EVERY_APPLICATION] if _is_push_without_paths(request, document) else []


def _is_push_with_paths(request: HttpRequest) -> bool:
    return (
        _event(request, b"x-gitlab-event") == "Push Hook"
        or _event(request, b"x-gogs-event") == "push"
        or _event(request, b"x-git-oschina-event") == "Push Hook"
    )


def _is_push_without_paths(request: HttpRequest, document: Mapping[str, object]) -> bool:
    """True for a push of a provider that does not name paths, or did not in earlier versions."""
    if _event(request, b"x-gitea-event") == "push":
        return isinstance(document.get("commits"), list)
    event = _event(request, b"x-event-key")
    if _event(request, b"x-hook-uuid"):  # Bitbucket Cloud
        push = document.get("push")
        return event in {"repo:push", "pullrequest:fulfilled"} and _has_changes(push)
    if _event(request, b"x-request-id"):  # Bitbucket Data Center
        return event == "pr:merged" or (event == "repo:refs_changed" and _has_changes(document))
    return False


def _event(request: HttpRequest, header: bytes) -> str:
    return (request.header(header) or b"").decode("latin-1").strip()


def _has_changes(value: object) -> bool:
    return isinstance(value, dict) and isinstance(
        cast("dict[str, object]", value).get("changes"),  # isinstance does not know the keys
        list,
    )


def _committed(document: Mapping[str, object]) -> list[str]:
    """Return the paths of all commits in their order. What is not a text is left out."""
    return [
        path
        for commit in _items(document.get("commits"))
        if isinstance(commit, dict)
        for name in _LISTS
        for path in _items(cast("dict[str, object]", commit).get(name))
        if isinstance(path, str)
    ]


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _named(value: object) -> list[str]:
    """Return the names for the value of `path`.

    Raises:
        HttpError: 400; it is not a text or a list of texts, or is beyond the limits.
    """
    paths = [value] if isinstance(value, str) else _items(value)
    texts = [path for path in paths if isinstance(path, str)]
    if len(texts) < len(paths) or not isinstance(value, str | list):
        raise HttpError(400, "invalid-path", "'path' must be a text or a list of texts")
    names = _names_within_limits(texts)
    if names is None:
        raise HttpError(
            400,
            "too-many-paths",
            f"send at most {MAX_PATHS:,} paths of at most {MAX_PATH_LENGTH} characters, each with "
            f"fewer than {_MAX_NAMES} '-' in the name of its file",
        )
    return names


def _names_or_everything(paths: list[str]) -> list[str]:
    names = _names_within_limits(paths)
    return [EVERY_APPLICATION] if names is None else names


def _names_within_limits(paths: list[str]) -> list[str] | None:
    """Return the names of all paths, each once; `None` if there are too many."""
    if len(paths) > MAX_PATHS or any(len(path) > MAX_PATH_LENGTH for path in paths):
        return None
    stems = [_stem(path) for path in paths]
    if any(stem.count("-") >= _MAX_NAMES for stem in stems):
        return None
    return [*dict.fromkeys(name for stem in stems for name in _applications(stem))]


def _stem(path: str) -> str:
    """Return the name of a file without its directories and its last extension.

    Half of a character, which JSON can hold as an escape, becomes U+FFFD.
    """
    name = _SURROGATE.sub("\ufffd", path.replace("\\", "/").rpartition("/")[2])
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name


def _applications(stem: str) -> Iterable[str]:
    """Yield what can be the application in the name of a file, the longest first."""
    while stem:
        yield EVERY_APPLICATION if stem == SHARED_APPLICATION else stem
        stem = stem.rpartition("-")[0]
