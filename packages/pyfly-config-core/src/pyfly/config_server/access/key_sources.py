"""Reading the keys of an issuer from a file or over HTTP. Everything here blocks."""

import http.client
import os
import ssl
import stat
import time
import urllib.error
import urllib.request
from typing import IO, Final

from pyfly.config_core import ConfigError
from pyfly.config_server.access.issuers import FETCH_SECONDS, Issuer
from pyfly.config_server.files.safe_io import REGULAR, opened

__all__ = ["IssuerKeysError", "read_key_set"]

_MAX_BYTES: Final = 262_144
_CONNECTION_SECONDS: Final = 5.0
_PIECE_BYTES: Final = 65_536


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
    url, deadline = issuer.keys_url or "", time.monotonic() + FETCH_SECONDS
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked
    if issuer.token_file is not None:
        token = _content(issuer.token_file).decode("ascii").strip()
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    proxies = {k: v for k, v in urllib.request.getproxies().items() if k == "https"}
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=issuer.ca_file)),
        _NoRedirects(),
    )
    with opener.open(request, timeout=_CONNECTION_SECONDS) as response:
        if response.status != http.HTTPStatus.OK:
            raise IssuerKeysError(
                f"cannot read the keys of issuer {issuer.name} from {url}: the answer is "
                f"{response.status}"
            )
        pieces: list[bytes] = []
        size = 0
        while size <= _MAX_BYTES and (piece := response.read1(_PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
            if time.monotonic() > deadline:
                raise TimeoutError("the answer takes too long")
    return b"".join(pieces)


def _content(path: str) -> bytes:
    """Return the content of a file, cut after the largest size."""
    with opened(os.open(path, REGULAR)) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, f"{path!r} is not a file")
        return os.read(descriptor, _MAX_BYTES + 1)
