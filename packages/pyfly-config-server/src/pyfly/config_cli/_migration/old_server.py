"""The server that clients use so far, asked over HTTP. The only module that imports httpx.

httpx and not the standard library: a request has one deadline, ends at once when the command is
interrupted, and never follows a redirect with its credential.
"""

import asyncio
import json
import os
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._stores.location import shown_url
from pyfly.config_core import (
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    Environment,
    decode_environment,
)
from pyfly.config_core.limits import MAX_PAGE_ROWS

__all__ = ["VARIABLES", "Credential", "OldServer", "OldServerError", "read_credential"]

VARIABLES: Final = "PYFLY_CONFIG_COMPARE_"
_JSON: Final = "application/json"
_MAX_BYTES: Final = 33_554_432
"""Longer answers are refused; a document is shorter."""
_MAX_SECRET: Final = 65_536
_COMPARABLE: Final = frozenset({404, 500})
"""Statuses that say something about a document: it is absent, or cannot be made."""


class OldServerError(ConfigError):
    """The old server cannot be reached, refuses, or sends no document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What the old server wants to see. Without anything nothing is sent."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def read_credential() -> Credential:
    """Return the credential that the environment holds, or names the files of.

    Raises:
        ArgumentError: The variables do not go together, or a file cannot be read.
    """
    names = ("USERNAME", "PASSWORD", "TOKEN")
    username, password, token = (_variable(VARIABLES + name) for name in names)
    if (username is None) != (password is None) or (username and token):
        raise ArgumentError(
            f"set {VARIABLES}USERNAME and {VARIABLES}PASSWORD, or {VARIABLES}TOKEN alone"
        )
    return Credential(username=username, password=password, token=token)


def _variable(name: str) -> str | None:
    value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if file is None:
        return value
    if value is not None:
        raise ArgumentError(f"set {name} or {name}_FILE, not both")
    try:
        with Path(file).open("rb") as stream:
            return stream.read(_MAX_SECRET).decode("utf-8-sig").removesuffix("\n").rstrip("\r")
    except OSError as error:
        raise ArgumentError(f"{name}_FILE: cannot read {file!r}: {error.strerror}") from error
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise ArgumentError(f"{name}_FILE: {file!r} is not UTF-8") from None


class OldServer:
    """Asks a server of the protocol for documents. An async context manager.

    Args:
        url: Its address with its prefix, such as `https://config.example.com/config`.
        credential: The credential.
        seconds: The longest time for one answer.

    Raises:
        ArgumentError: The URL is not one of HTTP, or holds a credential, a query or a fragment.
    """

    def __init__(self, url: str, credential: Credential, *, seconds: float) -> None:
        self._url = _checked(url)
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            auth=_auth(credential),
            headers=_headers(credential),
            timeout=None,  # noqa: S113 - each request has a deadline of its own
            follow_redirects=False,
            verify=ssl.create_default_context(),
        )

    async def __aenter__(self) -> Self:
        """Return this server."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fetch(self, application: str, profile: str, label: str | None) -> Environment | int:
        """Return a document, or the status 404 or 500.

        Args:
            application: The application.
            profile: The profile.
            label: The label; `None` for the default label of that server.

        Raises:
            OldServerError: The server cannot be reached, refuses, or sends no document.
        """
        parts = [application.replace("/", "(_)"), profile]
        parts += [] if label is None else [label.replace("/", "(_)")]
        path = "/".join(quote(part, safe="()") for part in parts)
        status, body = await self.read(path, accept=_JSON)
        if status in _COMPARABLE:
            return status
        try:
            return decode_environment(json.loads(body))
        except (ValueError, RecursionError, ConfigFormatError) as error:
            raise OldServerError(
                f"{self._url}/{path}: the answer is no document of Spring Cloud Config; the URL "
                "must end with the prefix of the server"
            ) from error

    async def names(self) -> list[ConfigKey]:
        """Return the names of its bundles.

        Empty if it is no server of this project, or does not let its client list them.

        Raises:
            OldServerError: The server cannot be reached.
        """
        found: list[ConfigKey] = []
        cursor = ""
        while True:
            query = f"?limit={MAX_PAGE_ROWS}" + (f"&cursor={quote(cursor)}" if cursor else "")
            status, body = await self._answer(f"_bundles{query}", _JSON)
            try:
                page: Any = json.loads(body) if status == HTTPStatus.OK else {"bundles": []}
                for row in page["bundles"]:
                    names = {one: row[one] for one in ("application", "profile", "label")}
                    found.append(ConfigKey(**names))
                cursor = page.get("next") or ""
            except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
                return []  # another service
            if not cursor:
                return found

    async def read(self, path: str, *, accept: str) -> tuple[int, bytes]:
        """Return the status 200, 404 or 500 and the body of an answer.

        Args:
            path: The encoded path below the prefix, with its query.
            accept: The wanted media types.

        Raises:
            OldServerError: The server cannot be reached or refuses.
        """
        status, body = await self._answer(path, accept)
        if status != HTTPStatus.OK and status not in _COMPARABLE:
            raise OldServerError(f"{self._url}/{path}: {_refusal(status)}")
        return status, body

    async def _answer(self, path: str, accept: str) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(f"{self._url}/{path}", accept)
        except TimeoutError as error:
            raise OldServerError(f"{path}: no answer in {self._seconds:g} s") from error
        except httpx.HTTPError as error:
            raise OldServerError(f"cannot reach {self._url}: {_reason(error)}") from error

    async def _get(self, url: str, accept: str) -> tuple[int, bytes]:
        async with self._client.stream("GET", url, headers={"Accept": accept}) as got:
            body = bytearray()
            async for piece in got.aiter_bytes():
                body += piece
                if len(body) > _MAX_BYTES:
                    raise OldServerError(f"{url}: the answer has more than {_MAX_BYTES:,} bytes")
            return got.status_code, bytes(body)


def _checked(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:  # not chained: it may show a password
        raise ArgumentError("the address of the old server is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ArgumentError("the address of the old server must begin with http:// or https://")
    if url.userinfo or url.query or url.fragment or "?" in text or "#" in text:
        raise ArgumentError(
            f"give {shown_url(text)!r} without user name, password, query and fragment; set "
            f"{VARIABLES}USERNAME and {VARIABLES}PASSWORD"
        )
    return text.rstrip("/")


def _auth(credential: Credential) -> httpx.BasicAuth | None:
    if credential.username is None or credential.password is None:
        return None
    return httpx.BasicAuth(credential.username.encode(), credential.password.encode())


def _headers(credential: Credential) -> dict[str, str]:
    token = credential.token
    if token is None:
        return {}
    if not token.isascii() or not token.isprintable() or token.split() != [token]:
        raise ArgumentError(f"{VARIABLES}TOKEN must be one word of ASCII characters")
    return {"Authorization": f"Bearer {token}"}


def _reason(error: httpx.HTTPError) -> str:
    """Return the reason in the words of the operating system, if it has any."""
    return str(error) or type(error).__name__


def _refusal(status: int) -> str:
    if status in {401, 403}:
        return (
            f"status {status}; set {VARIABLES}USERNAME and {VARIABLES}PASSWORD, or {VARIABLES}TOKEN"
        )
    if httpx.codes.is_redirect(status):
        return f"status {status}: it sends on to another address; give that one"
    return f"status {status}"
