"""TLS contexts, and why a connection failed. Needs `ssl`, but not httpx.

Texts of these errors name hosts, files and reasons, never a credential or a value.
"""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final, cast

from pyfly.config_client._exchange import TlsFiles
from pyfly.config_client._files import read_file
from pyfly.config_client.errors import ServerUnreachableError, printable

_MAX_FILE_BYTES: Final = 16 * 1024 * 1024


def make_context(files: TlsFiles, public: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """Return a TLS context made of files.

    Args:
        files: The files to read.
        public: Used if there is no `ca_file`.

    Raises:
        ValueError: A file cannot be read or used. The error names it.
    """
    context = public or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.ca_file is not None:
        _check_readable("ca_file", files.ca_file)
        try:
            context = ssl.create_default_context(cafile=files.ca_file)
        except (ssl.SSLError, ValueError):
            name = os.fspath(files.ca_file)
            raise ValueError(f"ca_file {name}: contains no certificates") from None
    if files.client_cert is not None:
        _load_client(context, files.client_cert, files.client_key)
    elif files.client_key is not None:
        raise ValueError("client_key is given without client_cert")
    return context


def _load_client(
    context: ssl.SSLContext,
    client_cert: str | os.PathLike[str],
    client_key: str | os.PathLike[str] | None,
) -> None:
    _check_readable("client_cert", client_cert)
    if client_key is not None:
        _check_readable("client_key", client_key)
    try:
        # Never ask for a password on the terminal: a key that needs one cannot be used.
        context.load_cert_chain(client_cert, client_key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        names = " and ".join(os.fspath(one) for one in (client_cert, client_key) if one)
        reason = getattr(error, "reason", None) or "not a certificate with its key"
        raise ValueError(f"client_cert {names}: cannot be used: {reason}") from None


def _check_readable(name: str, path: str | os.PathLike[str]) -> None:
    try:
        read_file(path, limit=_MAX_FILE_BYTES)
    except OSError as error:
        raise ValueError(f"{name} {os.fspath(path)}: {error.strerror}") from None


_NOT_TLS: Final = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)
_MAX_DEPTH: Final = 20


def root_cause(error: BaseException) -> BaseException:
    """Return the error of the operating system or of TLS that caused another error.

    Its own traceback and causes are removed, so that a traceback shows two errors instead of the
    chain of all libraries between them.
    """
    found = next((one for one in _chain(error) if _has_reason(one)), error)
    found.__cause__ = found.__context__ = None
    return found.with_traceback(None)


def unreachable(url: str, host: str, cause: BaseException) -> ServerUnreachableError | None:
    """Return an error that says why a server was not reached; `None` if the reason is unknown.

    Args:
        url: The requested address, without credentials.
        host: Its host, with the port if the address has one.
        cause: As `root_cause` returns it.
    """
    reason, permanent = _reason(host, cause)
    if not reason:
        return None
    return ServerUnreachableError(f"{url}: {reason}", permanent=permanent)


def protocol_error(text: str, url: str, host: str) -> ServerUnreachableError:
    """Return the error for a connection that does not carry HTTP.

    Args:
        text: What the parser of HTTP says.
        url: The requested address, without credentials.
        host: Its host and port.
    """
    secure = url.startswith("https:")
    hint = "" if secure else "; the address may have to begin with https://"
    if "illegal request line" in text:  # begins with a control character, as a TLS alert does
        reason = f"{host} does not speak HTTP{hint}"
        return ServerUnreachableError(f"{url}: {reason}", permanent=True)
    if "without sending a response" in text:
        reason = f"{host} closed the connection without a response{hint}"
    elif "incomplete" in text or "without sending complete" in text:
        reason = f"{host} cut off the response"
    else:
        reason = f"the response of {host} is not HTTP"
    return ServerUnreachableError(f"{url}: {reason}")


def _reason(host: str, cause: BaseException) -> tuple[str, bool]:
    """Return the reason, and whether a later attempt cannot help."""
    reason, permanent = "", False
    match cause:
        case socket.gaierror():
            reason = _name_reason(host, cause)
        case ssl.SSLCertVerificationError():
            why = printable(cause.verify_message)
            reason, permanent = f"the certificate of {host} is not trusted: {why}", True
        case ConnectionRefusedError():
            reason = f"connection refused by {host}; check that the server is running"
        case _ if isinstance(cause, _CUT_OFF):
            reason = f"the connection was cut off by {host}"
        case ssl.SSLError():
            reason, permanent = _tls_reason(host, cause), True
        case UnicodeError():
            reason, permanent = f"{printable(host)} is not a valid host name", True
        case OSError() if cause.errno:
            reason = f"cannot connect to {host}: {_error_text(cause)}"
        case _:
            pass
    return reason, permanent


def _name_reason(host: str, cause: OSError) -> str:
    name = host.rpartition(":")[0] or host
    unknown = {getattr(socket, one, None) for one in ("EAI_NONAME", "EAI_NODATA")}
    if cause.errno in unknown:
        return f"unknown host name {name}; check its spelling"
    return f"cannot look up the host name {name}: {_error_text(cause)}"


def _tls_reason(host: str, cause: ssl.SSLError) -> str:
    reason = cause.reason or ""
    if reason in _NOT_TLS:
        return f"{host} does not use TLS; the address may have to begin with http://"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"{host} requires a client certificate; set client_cert (TLS: {reason})"
    return f"TLS with {host} failed: {printable(reason) or type(cause).__name__}"


def _error_text(cause: OSError) -> str:
    code = cause.errno or 0
    return printable(cause.strerror or errno.errorcode.get(code, type(cause).__name__))


def _has_reason(error: BaseException) -> bool:
    """True for errors of the operating system and of TLS, which state a reason."""
    if isinstance(error, UnicodeError):
        return True
    return isinstance(error, OSError) and (
        error.errno is not None or isinstance(error, ssl.SSLError | ConnectionError)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the nearest first."""
    waiting: list[BaseException | None] = [error]
    for _ in range(_MAX_DEPTH):
        if not waiting:
            return
        one = waiting.pop(0)
        if one is None:
            continue
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        waiting += [one.__cause__, one.__context__]
