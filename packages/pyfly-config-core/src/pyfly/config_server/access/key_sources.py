"""Reading the keys of an issuer from a file or over HTTP. Everything here blocks."""

import contextlib
import functools
import http.client
import os
import socket
import ssl
import stat
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from typing import IO, Any, Final, Self

from pyfly.config_core import ConfigError
from pyfly.config_server.access.issuers import FETCH_SECONDS, Issuer
from pyfly.config_server.files.safe_io import REGULAR, opened

__all__ = ["IssuerKeysError", "read_key_set"]

_MAX_BYTES: Final = 262_144
_CONNECTION_SECONDS: Final = 5.0
_PIECE_BYTES: Final = 65_536
_TOO_LONG: Final = "the answer takes too long"


class IssuerKeysError(ConfigError):
    """The keys of an issuer cannot be read; the message names it and the reason."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would let another host name the keys, and tell it the token."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - the signature of the library
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Have the redirect treated as the failure that it is."""
        del req, fp, code, msg, headers, newurl


class _Deadline:
    """Ends the connections of a fetch when its time is over, whatever they wait for.

    The time limit of a socket begins anew with each byte.
    """

    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def watch(self, one: socket.socket) -> None:
        """End a connection when the time is over, or at once if it is."""
        with self._lock:
            self._sockets.append(one)
            if self.has_passed:
                _shut(one)

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            for one in self._sockets:
                _shut(one)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed
        socket.socket.shutdown(one, socket.SHUT_RDWR)  # that of TLS would wait for the other side


class _Connection(http.client.HTTPConnection):
    """A connection that ends at a deadline; with TLS if there is a context."""

    def __init__(
        self, host: str, *, name: str, tls: ssl.SSLContext | None, deadline: _Deadline, **more: Any
    ) -> None:
        self.default_port = http.client.HTTP_PORT if tls is None else http.client.HTTPS_PORT
        super().__init__(host, **more)
        self._name, self._tls, self._deadline = name, tls, deadline
        self._through_proxy: tuple[str, Mapping[str, str]] | None = None

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Note what a proxy is asked for. The library would ask before the deadline counts."""
        del port  # it is in `host`, if it is not that of HTTPS
        has_port = host.rpartition("]")[2].count(":")
        authority = host if has_port else f"{host}:{http.client.HTTPS_PORT}"
        self._through_proxy = authority, headers or {}

    def connect(self) -> None:
        """Connect, through the tunnel of a proxy if there is one."""
        super().connect()
        self._deadline.watch(self.sock)
        if self._through_proxy is not None:
            self._open_tunnel(*self._through_proxy)
        if self._tls is None:
            return
        self.sock = secured = self._tls.wrap_socket(
            self.sock, server_hostname=self._name, do_handshake_on_connect=False
        )
        self._deadline.watch(secured)
        secured.do_handshake()

    def _open_tunnel(self, authority: str, headers: Mapping[str, str]) -> None:
        """Ask the proxy for a connection to the host of the URL.

        Raises:
            OSError: It refuses.
        """
        fields = {"Host": authority, **headers}.items()
        lines = [f"CONNECT {authority} HTTP/1.1", *(f"{key}: {value}" for key, value in fields)]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        with contextlib.closing(http.client.HTTPResponse(self.sock, method="CONNECT")) as answer:
            answer.begin()
            if answer.status != http.HTTPStatus.OK:
                raise OSError(0, f"the answer of the proxy is {answer.status}")


class _Connections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Makes such connections."""

    def __init__(self, url: str, ca_file: str | None, deadline: _Deadline) -> None:
        super().__init__()
        parts = urllib.parse.urlsplit(url)
        is_secure = parts.scheme == "https"
        self._make = functools.partial(
            _Connection,
            name=parts.hostname or "",
            tls=_tls_context(ca_file) if is_secure else None,
            deadline=deadline,
        )

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Send a request."""
        return self.do_open(self._make, req)

    https_open = http_open


def read_key_set(issuer: Issuer) -> bytes:
    """Return the key set of an issuer, as it is published.

    Raises:
        IssuerKeysError: It cannot be read, or is too large.
    """
    try:
        data = _fetched(issuer) if issuer.keys_file is None else _content(issuer.keys_file)
    except IssuerKeysError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            hint = "; redirects are not followed" if error.code in range(300, 400) else ""
            reason = f"the answer is {error.code}{hint}"
    except urllib.error.URLError as error:
        reason = _reason(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = _reason(error)
    else:
        if len(data) <= _MAX_BYTES:
            return data
        reason = f"it has more than {_MAX_BYTES:,} bytes"
    raise IssuerKeysError(
        f"cannot read the keys of issuer {issuer.name} from {issuer.location}: {reason}"
    )


def _reason(error: object) -> str:
    """Return a reason without what an answer or a file holds."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return type(error).__name__


def _fetched(issuer: Issuer) -> bytes:
    """Fetch the URL, cut somewhere after the largest size."""
    url = issuer.keys_url or ""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked
    if issuer.token_file is not None:
        request.add_unredirected_header("Authorization", f"Bearer {_token(issuer.token_file)}")
    proxies = {k: v for k, v in urllib.request.getproxies().items() if k == "https"}
    with _Deadline(FETCH_SECONDS) as deadline:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies),
            _Connections(url, issuer.ca_file, deadline),
            _NoRedirects(),
        )
        try:
            with opener.open(request, timeout=_CONNECTION_SECONDS) as response:
                _check_status(response.status, issuer)
                data = _body(response)
        except (OSError, http.client.HTTPException, ValueError):
            if deadline.has_passed:
                raise TimeoutError(_TOO_LONG) from None
            raise
        if deadline.has_passed:  # an answer that was cut may look complete
            raise TimeoutError(_TOO_LONG)
    return data


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    with _named("ca-file", ca_file):
        return ssl.create_default_context(cafile=ca_file)


def _token(path: str) -> str:
    with _named("token-file", path):
        token = _content(path).decode("ascii").strip()
        if token.split() != [token]:
            raise OSError(0, "it does not hold one token")
    return token


@contextlib.contextmanager
def _named(key: str, path: str | None) -> Generator[None]:
    """Have an error name the file that it is about, which is not that of the keys."""
    try:
        yield
    except (OSError, ValueError) as error:  # not chained: it may hold the token
        raise OSError(0, f"{key} {path!r}: {_reason(error)}") from None


def _check_status(status: int, issuer: Issuer) -> None:
    if status != http.HTTPStatus.OK:
        raise IssuerKeysError(
            f"cannot read the keys of issuer {issuer.name} from {issuer.location}: the answer is "
            f"{status}"
        )


def _body(response: http.client.HTTPResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size <= _MAX_BYTES and (piece := response.read1(_PIECE_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _content(path: str) -> bytes:
    """Return the content of a file, cut after the largest size."""
    with opened(os.open(path, REGULAR)) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, f"{path!r} is not a file")
        return os.read(descriptor, _MAX_BYTES + 1)
