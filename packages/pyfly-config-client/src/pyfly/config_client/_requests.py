"""Addresses, credentials, requests and responses as values, and the interface of what sends them.

Imports no library. `pyfly.config_client.transport` is the public module of what a program needs of
it. No error shows a part of an address: a malformed one may have a password anywhere.
"""

import base64
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pyfly.config_client.errors import InvalidPayloadError
from pyfly.config_core import MEDIA_TYPE_V2, encode_slashes, split_names, split_profiles
from pyfly.config_core.limits import MAX_ANSWER_BYTES


class Identity(NamedTuple):
    """Which configuration is requested, and from where. A snapshot belongs to one identity."""

    servers: tuple[str, ...]
    """Addresses without credentials, in the order in which they are asked."""
    application: str
    profiles: str
    labels: tuple[str | None, ...]
    """In the order in which they are tried."""
    keys: str = ""
    """The keys that are requested, comma separated; empty for all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpRequest:
    """A GET request, ready to be sent. Has no `repr`, because its headers may hold a credential."""

    url: str
    """Without credentials."""
    headers: Mapping[str, str]
    """All headers to send."""
    timeout: float
    """Seconds for the whole exchange, to the last byte of the response."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpResponse:
    """A whole response, as it arrived.

    Raises:
        TypeError: The status is not a number, or the body is not bytes.
    """

    status: int
    headers: Mapping[str, str]
    """Names are given in any case, and kept in lower case."""
    body: bytes

    def __post_init__(self) -> None:
        status, body = cast("object", self.status), cast("object", self.body)
        if not isinstance(status, int) or not isinstance(body, bytes):
            raise TypeError("a response needs a status that is a number, and a body of bytes")
        lower = {name.lower(): value for name, value in self.headers.items()}
        object.__setattr__(self, "headers", lower)


class Body:
    """Collects the body of a response, up to the largest size that is allowed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            InvalidPayloadError: The body becomes too large.
        """
        self._content += chunk
        if len(self._content) > MAX_ANSWER_BYTES:
            raise InvalidPayloadError(
                f"{self._url}: the response is larger than {MAX_ANSWER_BYTES:,} bytes"
            )

    def response(self, status: int, headers: Mapping[str, str]) -> HttpResponse:
        """Return the whole response."""
        return HttpResponse(status=status, headers=headers, body=bytes(self._content))


class Exchange(Protocol):
    """A request that is being sent, and its response, for code without an event loop."""

    def run(self) -> HttpResponse:
        """Wait for the response and return it.

        Raises:
            ServerUnreachableError: There was no whole response in time, or `abort` was called.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def abort(self) -> None:
        """End the exchange now. May be called from any thread, also before `run`."""
        ...


class Transport(Protocol):
    """Sends requests. `ConfigClient` calls `send`, `SyncConfigClient` calls `start`.

    May be called from several threads and event loops at the same time. Redirects must not be
    followed: a credential would go to another server. An `OSError` that it raises counts as a
    `ServerUnreachableError`; the client does not catch other errors.
    """

    @property
    def in_memory(self) -> bool:
        """True if responses come from this process.

        Then the client does not wait between attempts, makes one attempt unless `attempts` is
        given, and keeps no snapshot unless `snapshot_dir` is given.
        """
        ...

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the whole response. `ConfigClient` cancels it at the timeout.

        Raises:
            ServerUnreachableError: There was no whole response in time.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange that sends a request when it is run."""
        ...


class TlsFiles(NamedTuple):
    """The files that TLS needs. Every one is optional."""

    ca_file: str | os.PathLike[str] | None = None
    """Certificates of the authorities that may sign the server's certificate."""
    client_cert: str | os.PathLike[str] | None = None
    """The certificate of the client."""
    client_key: str | os.PathLike[str] | None = None
    """The key of the client's certificate, if that is another file."""

    @property
    def given(self) -> bool:
        """True if there is at least one file."""
        return (self.ca_file, self.client_cert, self.client_key) != (None, None, None)


# --- addresses ------------------------------------------------------------------------


def check_identity(identity: Identity) -> None:
    """Reject names that no server accepts.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: There is no server, or the sequence of labels is empty.
    """
    if not identity.servers or not identity.labels:
        raise ValueError("server_url and label must not be empty")
    split_names("application", identity.application)
    split_profiles(identity.profiles)
    for label in identity.labels:
        if label is not None:
            split_names("label", label)


_MAX_HOST_LENGTH: Final = 253
_MALFORMED: Final = (
    "the server URL must look like http://host:8888, without query or fragment; in a user name "
    "or a password write : / ? # [ ] @ and % as %3A %2F %3F %23 %5B %5D %40 and %25"
)
_MAX_LABEL_LENGTH: Final = 63
_IN_LABELS: Final = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_DOTS_OF_FOUR_NUMBERS: Final = 3


class Server(NamedTuple):
    """The address of a server, split into what is sent and what must not be shown."""

    root: str
    """With the base path, without user info."""
    username: str | None
    password: str | None
    base_path_twice: str = ""
    """The base path, if the given address ends with it, too."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"


def parse_server(url: str, base_path: str, is_international: Callable[[str], bool]) -> Server:
    """Return the parts of an address.

    `is_international` is true for a valid name that is not ASCII.

    Raises:
        ValueError: The address or the base path is malformed. The error shows no part of the
            address.
    """
    _check_base_path(base_path)
    if not _is_visible(url):
        raise ValueError("the server URL contains a blank or a control character")
    parts = _split(url, is_international)
    path = parts.path.rstrip("/")
    return Server(
        root=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{base_path}",
        username=_decoded(parts.username),
        password=_decoded(parts.password),
        base_path_twice=base_path if base_path and path.endswith(base_path) else "",
    )


def has_control_characters(text: str) -> bool:
    """True if a text has characters that are not allowed in credentials and addresses."""
    if text.isprintable():
        return False
    return any(one < " " or "\x7f" <= one <= "\x9f" or "\ud800" <= one <= "\udfff" for one in text)


def _split(url: str, is_international: Callable[[str], bool]) -> SplitResult:
    parts = _split_if_possible(url)
    if parts is None or "@" in parts.path or "?" in url or "#" in url:
        raise ValueError(_MALFORMED)
    host, in_brackets = parts.hostname or "", "[" in parts.netloc.rpartition("@")[2]
    is_plain = host.isascii() or in_brackets
    if not (_is_host(host, in_brackets=in_brackets) if is_plain else is_international(host)):
        raise ValueError(f"the host name in the server URL is not valid; {_MALFORMED}")
    return parts


def _split_if_possible(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text shows a part of the address, so it is not chained
        return None
    return parts if usable else None


def _is_host(host: str, *, in_brackets: bool) -> bool:
    try:
        if in_brackets:
            return bool(ipaddress.IPv6Address(host)) and "%" not in host
        if host.count(".") == _DOTS_OF_FOUR_NUMBERS and host.replace(".", "").isdigit():
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    labels = host.removesuffix(".").split(".")
    return len(host.rstrip(".")) <= _MAX_HOST_LENGTH and all(map(_is_label, labels))


def _is_label(text: str) -> bool:
    return 0 < len(text) <= _MAX_LABEL_LENGTH and not text.strip(_IN_LABELS)


def _check_base_path(base_path: str) -> None:
    if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
        raise ValueError("the base path must be empty, or begin with '/' and not end with '/'")
    if not _is_visible(base_path) or any(one in base_path for one in "?#@"):
        raise ValueError("the base path contains a character that is not allowed in a path")


def _is_visible(text: str) -> bool:
    return not has_control_characters(text) and text.split() == [text] * bool(text)


def _decoded(text: str | None) -> str | None:
    if text is None:
        return None
    plain = unquote(text, errors="surrogateescape")
    if has_control_characters(plain):
        raise ValueError(
            "the user info of the server URL is not percent-encoded UTF-8 without control "
            "characters"
        )
    return plain


# --- requests -------------------------------------------------------------------------

_DEFAULT_USER: Final = "user"
_SEGMENT_SAFE: Final = ",()_@+"
_KEYS_SAFE: Final = ",.*"
_HEADERS: Final = {
    "Accept": f"{MEDIA_TYPE_V2}, application/json;q=0.9",
    "Accept-Encoding": "identity",
    "User-Agent": "pyfly-config-client",
}


class ConfigRequest(NamedTuple):
    """A request for an environment document."""

    url: str
    """Without credentials."""
    headers: dict[str, str]
    """May contain a credential."""
    label: str | None
    """As requested."""
    base_path_twice: str = ""
    """The base path, if the given address ends with it, too."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


class Credentials:
    """The credentials of a client, checked.

    Raises:
        ValueError: They cannot be sent, or contradict each other. The error shows none of them.
    """

    __slots__ = ("password", "token", "username")

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
    ) -> None:
        if token is not None and (username is not None or password is not None):
            raise ValueError("give either a token, or a user name and a password, not both")
        for text in (username, password, token):
            if text is not None and has_control_characters(text):
                raise ValueError("a credential contains a control character, such as a line end")
        if token is not None and token.split() != [token]:
            raise ValueError("a token must not be empty and must not contain blanks")
        if username is not None and ":" in username:
            raise ValueError("a user name must not contain ':'")
        self.username: Final = username
        self.password: Final = password
        self.token: Final = token


def build_requests(
    identity: Identity, servers: Sequence[Server], credentials: Credentials
) -> tuple[tuple[ConfigRequest, ...], ...]:
    """Return the requests for an environment document.

    Returns:
        For every label, in order, one request to every server.

    Raises:
        ValueError: There is a user name without a password, or both kinds of credentials.
    """
    return tuple(
        tuple(_build(identity, label, server, credentials) for server in servers)
        for label in identity.labels
    )


def _build(
    identity: Identity, label: str | None, server: Server, credentials: Credentials
) -> ConfigRequest:
    segments = [encode_slashes(identity.application), identity.profiles]
    if label is not None:
        segments.append(encode_slashes(label))
    path = "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in segments)
    query = f"?keys={quote(identity.keys, safe=_KEYS_SAFE)}" if identity.keys else ""
    return ConfigRequest(
        url=f"{server.root}/{path}{query}",
        headers=_HEADERS | _authorization(server, credentials),
        label=label,
        base_path_twice=server.base_path_twice,
    )


def _authorization(server: Server, given: Credentials) -> dict[str, str]:
    user = server.username if given.username is None else given.username
    password = server.password if given.password is None else given.password
    credentials = Credentials(username=user, password=password, token=given.token)
    if credentials.token is not None:
        return {"Authorization": f"Bearer {credentials.token}"}
    if password is None:
        if user is not None:
            raise ValueError("a user name is given without a password")
        return {}
    pair = base64.b64encode(f"{user or _DEFAULT_USER}:{password}".encode())
    return {"Authorization": f"Basic {pair.decode()}"}
