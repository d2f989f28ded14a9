"""Why an exchange failed, by the error of the operating system or of TLS below all others.

Texts of these errors name hosts, files and reasons, never a credential or a value.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final, cast

from pyfly.config_client._printable import printable
from pyfly.config_client.errors import ServerUnreachableError

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
    """Return the most telling error below another one, alone: without its traceback and causes.

    Somebody who reads a traceback sees two errors then, not the chain of every library between.
    """
    found = next((one for one in _chain(error) if _tells(one)), error)
    found.__cause__ = found.__context__ = None
    return found.with_traceback(None)


def unreachable(url: str, host: str, cause: BaseException) -> ServerUnreachableError | None:
    """Return the error that says why a server was not reached; `None` where that is not known.

    Args:
        url: What was asked for, without credentials.
        host: Its host, with the port if the URL has one.
        cause: As `root_cause` returns it.
    """
    reason, permanent = _reason(host, cause)
    if not reason:
        return None
    return ServerUnreachableError(f"{url}: {reason}", permanent=permanent)


def _reason(host: str, cause: BaseException) -> tuple[str, bool]:
    """Return why, and whether asking again cannot help."""
    reason, permanent = "", False
    match cause:
        case socket.gaierror():
            reason = _name_reason(host, cause)
        case ssl.SSLCertVerificationError():
            why = printable(cause.verify_message)
            reason, permanent = f"the certificate of {host} is not trusted: {why}", True
        case ConnectionRefusedError():
            reason = f"connection refused by {host}; is the server running there?"
        case _ if isinstance(cause, _CUT_OFF):
            reason = f"the connection was cut off by {host}"
        case ssl.SSLError():
            reason, permanent = _tls_reason(host, cause), True
        case UnicodeError():
            reason, permanent = f"{printable(host)} cannot be the name of a host", True
        case OSError() if cause.errno:
            reason = f"cannot connect to {host}: {_words(cause)}"
        case _:
            pass
    return reason, permanent


def _name_reason(host: str, cause: OSError) -> str:
    name = host.rpartition(":")[0] or host
    unknown = {getattr(socket, one, None) for one in ("EAI_NONAME", "EAI_NODATA")}
    if cause.errno in unknown:
        return f"the host name {name} is not known; is it spelt right?"
    return f"the host name {name} cannot be looked up: {_words(cause)}"


def _tls_reason(host: str, cause: ssl.SSLError) -> str:
    reason = cause.reason or ""
    if reason in _NOT_TLS:
        return f"{host} does not speak TLS; should the URL begin with http://?"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"{host} wants a certificate of this client; set client_cert (TLS: {reason})"
    return f"TLS with {host} failed: {printable(reason) or type(cause).__name__}"


def _words(cause: OSError) -> str:
    code = cause.errno or 0
    return printable(cause.strerror or errno.errorcode.get(code, type(cause).__name__))


def _tells(error: BaseException) -> bool:
    """True for errors of the operating system and of TLS, which have a reason."""
    if isinstance(error, UnicodeError):
        return True
    return isinstance(error, OSError) and (
        error.errno is not None or isinstance(error, ssl.SSLError | ConnectionError)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that led to it, the nearest first."""
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
