"""Certificates of TLS: files are tried before they are used, and renewed while the server runs."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias, cast

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.transport import Headers
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.tls import TlsFiles, tls_files_of

_LOG: Final = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 60.0
"""The pause between two looks at the files: Kubernetes replaces them without a signal."""
_EXPIRY_SECONDS: Final = 14 * 86_400
"""The time before the end of a certificate from which on a start warns of it."""

_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")

_Identity: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """What a certificate says about itself."""

    names: tuple[str, ...]
    """Host names and addresses."""
    expires: datetime
    """Its end, in UTC."""

    @property
    def has_expired(self) -> bool:
        """True if no client accepts it any more."""
        return self.expires.timestamp() <= time.time()

    @property
    def expires_soon(self) -> bool:
        """True if it has to be renewed now."""
        return self.expires.timestamp() - time.time() < _EXPIRY_SECONDS


class ServerCertificate:
    """The TLS of new connections. Those that exist keep the certificate with which they began.

    Raises:
        SettingsError: A file cannot be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.context = open_tls(files)
        self._files = files
        self._identity = _identity_of(files)
        _warn_of_expiry(files)

    def replace(self, files: TlsFiles, context: ssl.SSLContext) -> None:
        """Use other files, which `open_tls` has opened, for new connections."""
        self.context, self._files, self._identity = context, files, _identity_of(files)
        _warn_of_expiry(files)

    async def watch(self) -> None:
        """Renew the certificate when its files have changed, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            self.renew()

    def renew(self) -> None:
        """Use the files again if they have changed; keep what is in use if they are bad."""
        identity = _identity_of(self._files)
        if identity == self._identity:
            return
        self._identity = identity
        try:
            self.replace(self._files, open_tls(self._files))
        except SettingsError as error:
            _LOG.error("the certificate is not renewed, the one before stays in use: %s", error)
        else:
            _LOG.info("certificate renewed from %r", str(self._files.certificate))


def open_tls(files: TlsFiles) -> ssl.SSLContext:
    """Return the TLS of a server.

    Raises:
        SettingsError: A file cannot be read or used, or the key is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = files.min_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_key(context, files)
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, files.client_ca)
    return context


def inspect_certificate(files: TlsFiles) -> CertificateInfo:
    """Return what the certificate says about itself.

    It makes a TLS connection in memory, because the standard library has no other public way.

    Raises:
        SettingsError: A file cannot be used, or the certificate has expired.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_key(server, files)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted
    client.load_verify_locations(cafile=str(files.certificate))
    try:
        found = _peer_certificate(client, server)
    except ssl.SSLCertVerificationError as error:
        raise _cannot(files.certificate, error.verify_message) from error
    except ssl.SSLError as error:
        raise _cannot(files.certificate, _reason(error)) from error
    end = ssl.cert_time_to_seconds(str(found["notAfter"]))
    pairs = cast("Sequence[tuple[str, str]]", found.get("subjectAltName", ()))
    names = tuple(name for _, name in pairs)
    return CertificateInfo(names=names, expires=datetime.fromtimestamp(end, UTC))


def _peer_certificate(client: ssl.SSLContext, server: ssl.SSLContext) -> Mapping[str, object]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):  # flights of a handshake of any version
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return cast("Mapping[str, object]", ends[0].getpeercert() or {})


def _load_key(context: ssl.SSLContext, files: TlsFiles) -> None:
    _check_pem(files.certificate, b"CERTIFICATE-----", "certificate")
    _check_pem(files.key, b"PRIVATE KEY-----", "private key")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(files.certificate, files.key, password)
    except ssl.SSLError as error:
        if asked:
            raise SettingsError(
                f"the private key {str(files.key)!r} is encrypted; the server asks nobody for a "
                f"password: decrypt it with: openssl pkey -in {files.key} -out NEW-FILE"
            ) from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"the private key {str(files.key)!r} does not belong to the certificate "
                f"{str(files.certificate)!r}"
            ) from error
        raise _cannot(files.certificate, _reason(error)) from error


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _check_pem(path, b"CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise _cannot(path, _reason(error)) from error


def _check_pem(path: Path, marker: bytes, what: str) -> None:
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{str(path)!r} is not a file")
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if marker not in data:
        raise SettingsError(f"{str(path)!r} holds no {what} in PEM format")


def _cannot(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"{str(path)!r} cannot be used for TLS: {reason}")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown error").replace("_", " ").lower()


def _identity_of(files: TlsFiles) -> _Identity:
    """Return what differs when one of the files was replaced or written."""
    found: list[object] = []
    for path in files.paths:
        try:
            status = path.stat()
        except OSError as error:
            found.append(error.errno)
        else:
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _warn_of_expiry(files: TlsFiles) -> None:
    try:
        info = inspect_certificate(files)
    except SettingsError as error:
        _LOG.warning("clients will refuse the certificate: %s", error)
        return
    if info.expires_soon:
        _LOG.warning(
            "the certificate %r expires on %s", str(files.certificate), f"{info.expires:%Y-%m-%d}"
        )


def certificate_of(settings: ServerSettings) -> ServerCertificate | None:
    """Return the certificate that settings name; `None` if the server does not speak TLS.

    Raises:
        SettingsError: A file cannot be used.
    """
    files = tls_files_of(settings)
    return None if files is None else ServerCertificate(files)


def check_tls(settings: ServerSettings) -> None:
    """Check that the files of TLS can be used.

    Raises:
        SettingsError: One of them cannot.
    """
    files = tls_files_of(settings)
    if files is not None:
        open_tls(files)


def headers_of(settings: ServerSettings) -> Headers:
    """Return the headers of every response, which belong to the transport."""
    return () if tls_files_of(settings) is None else (_HTTPS_ONLY,)
