"""The files that servers are recognised by, and this client by them."""

import os
import ssl

from pyfly.config_client._files import read_file

_LARGEST: int = 16 * 1024 * 1024


def make_context(
    ca_file: str | os.PathLike[str] | None,
    client_cert: str | os.PathLike[str] | None,
    client_key: str | os.PathLike[str] | None,
    public: ssl.SSLContext | None = None,
) -> ssl.SSLContext:
    """Return how a connection is protected.

    Args:
        ca_file: Certificates to recognise servers by.
        client_cert: The certificate of this client.
        client_key: Its key, if that is another file.
        public: What is used if there is no `ca_file`.

    Raises:
        ValueError: A file cannot be read, or does not hold what it should; names it.
    """
    context = public or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        _check_readable("ca_file", ca_file)
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (ssl.SSLError, ValueError):
            raise ValueError(f"ca_file {os.fspath(ca_file)}: holds no certificates") from None
    if client_cert is not None:
        _load_client(context, client_cert, client_key)
    elif client_key is not None:
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
        # A password is never asked for on a terminal: a key that needs one cannot be used.
        context.load_cert_chain(client_cert, client_key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        names = " and ".join(os.fspath(one) for one in (client_cert, client_key) if one)
        reason = getattr(error, "reason", None) or "not a certificate with its key"
        raise ValueError(f"client_cert {names}: cannot be used: {reason}") from None


def _check_readable(name: str, path: str | os.PathLike[str]) -> None:
    try:
        read_file(path, limit=_LARGEST)
    except OSError as error:
        raise ValueError(f"{name} {os.fspath(path)}: {error.strerror}") from None
