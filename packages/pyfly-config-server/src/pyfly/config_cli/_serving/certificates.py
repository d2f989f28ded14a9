"""Certificates of TLS: files are tried before they are used, and renewed while the server runs."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TypeAlias, cast

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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTls:
    """TLS of a server from its files."""

    files: TlsFiles
    identity: _Identity
    """What the files were before they were read, so that no later change is missed."""
    context: ssl.SSLContext
    refusal: str
    """Why clients refuse the certificate; empty if they accept it."""

    @classmethod
    def of(cls, files: TlsFiles) -> Self:
        """Open the TLS of a server. A log line warns of a certificate that ends soon.

        Raises:
            SettingsError: A file cannot be used.
        """
        identity = _identity_of(files)
        context = _load_key(files)
        refusal = _refusal(files, context)
        _admit_clients(context, files)
        return cls(files=files, identity=identity, context=context, refusal=refusal)


class ServerCertificate:
    """The TLS of new connections. Those that exist keep the certificate with which they began.

    Args:
        files: Its files.
        must_be_accepted: True refuses a certificate that clients refuse, which otherwise gets a
            warning, because some clients do not look at the date.

    Raises:
        SettingsError: A file cannot be used, or its certificate is refused.
    """

    def __init__(self, files: TlsFiles, *, must_be_accepted: bool = False) -> None:
        self._opened = OpenedTls.of(files)
        if not self.is_accepted:
            if must_be_accepted:
                raise SettingsError(self._opened.refusal)
            _LOG.warning("clients will refuse the certificate: %s", self._opened.refusal)
        self._looked_at = self._opened.identity

    @property
    def is_accepted(self) -> bool:
        """True if clients accept the certificate."""
        return not self._opened.refusal

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS of the next connection."""
        return self._opened.context

    def prepare(self, files: TlsFiles) -> OpenedTls:
        """Open other files for `use`.

        Raises:
            SettingsError: A file cannot be used, or clients refuse its certificate and accept the
                one in use.
        """
        opened = OpenedTls.of(files)
        if opened.refusal and self.is_accepted:
            raise SettingsError(opened.refusal)
        return opened

    def use(self, opened: OpenedTls) -> None:
        """Use other files for new connections."""
        self._opened, self._looked_at = opened, opened.identity

    async def watch(self) -> None:
        """Renew the certificate when its files have changed, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            self.renew()

    def renew(self) -> None:
        """Use the files again if they have changed; keep what is in use if they are bad."""
        files = self._opened.files
        identity = _identity_of(files)
        if identity == self._looked_at:
            return
        self._looked_at = identity
        try:
            self.use(self.prepare(files))
        except SettingsError as error:
            _LOG.error("the certificate is not renewed, the one before stays in use: %s", error)
        else:
            _LOG.info("certificate renewed from %r", str(files.certificate))


def open_tls(files: TlsFiles) -> ssl.SSLContext:
    """Return the TLS of a server.

    Raises:
        SettingsError: A file cannot be read or used, or the key is encrypted.
    """
    context = _load_key(files)
    _admit_clients(context, files)
    return context


def inspect_certificate(files: TlsFiles) -> CertificateInfo:
    """Return what a certificate says about itself, after a try of all files.

    Raises:
        SettingsError: A file cannot be used, or the certificate has expired.
    """
    context = _load_key(files)
    info = _inspect(files, context)
    _admit_clients(context, files)
    return info


def _inspect(files: TlsFiles, context: ssl.SSLContext) -> CertificateInfo:
    """Return what the certificate in a context says about itself.

    It is not read from its file a second time, which may be another one by now. The standard
    library shows it to the other end of a connection only, so there are two, in memory: the first
    brings the certificate, the second trusts it.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    try:
        der = _connect(client, context).getpeercert(binary_form=True)
        client.load_verify_locations(cadata=der or b"")
        client.verify_mode = ssl.CERT_REQUIRED
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted
        found = cast("Mapping[str, object]", _connect(client, context).getpeercert() or {})
    except ssl.SSLCertVerificationError as error:
        raise _cannot(files.certificate, error.verify_message) from error
    except OSError as error:
        raise _cannot(files.certificate, _reason(error)) from error
    end = ssl.cert_time_to_seconds(str(found["notAfter"]))
    pairs = cast("Sequence[tuple[str, str]]", found.get("subjectAltName", ()))
    names = tuple(name for _, name in pairs)
    return CertificateInfo(names=names, expires=datetime.fromtimestamp(end, UTC))


def _connect(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """Return the client's end of a connection in memory, after its handshake."""
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
    return ends[0]


def _load_key(files: TlsFiles) -> ssl.SSLContext:
    """Return the TLS of a server with its certificate and key; any client is admitted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = files.min_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _check_pem(files.certificate, b"CERTIFICATE-----", "certificate")
    _check_pem(files.key, b"PRIVATE KEY-----", "private key")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(files.certificate, files.key, password)
    except OSError as error:
        if asked:
            raise SettingsError(
                f"the private key {str(files.key)!r} is encrypted; the server asks nobody for a "
                f"password: decrypt it with: openssl pkey -in {files.key} -out NEW-FILE"
            ) from None
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"the private key {str(files.key)!r} does not belong to the certificate "
                f"{str(files.certificate)!r}"
            ) from error
        _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files.certificate)  # can be read
        is_unreadable = isinstance(error, ssl.SSLError) and not error.reason
        raise _cannot(files.key if is_unreadable else files.certificate, _reason(error)) from error
    return context


def _admit_clients(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Admit the clients only whose certificate is signed by one of a file, if there is one."""
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, files.client_ca)


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _check_pem(path, b"CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(cafile=str(path))
    except OSError as error:
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


def _reason(error: OSError) -> str:
    """Return what OpenSSL says, or the system: a file may be gone since it was checked."""
    said = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (said or "it cannot be read").replace("_", " ").lower()


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


def _refusal(files: TlsFiles, context: ssl.SSLContext) -> str:
    """Return why clients refuse a certificate; warn if it ends soon."""
    try:
        info = _inspect(files, context)
    except SettingsError as error:
        return str(error)
    if info.expires_soon:
        _LOG.warning(
            "the certificate %r expires on %s", str(files.certificate), f"{info.expires:%Y-%m-%d}"
        )
    return ""


def certificate_of(
    settings: ServerSettings, *, must_be_accepted: bool = False
) -> ServerCertificate | None:
    """Return the certificate that settings name; `None` if the server does not speak TLS.

    Raises:
        SettingsError: As by `ServerCertificate`.
    """
    files = tls_files_of(settings)
    return None if files is None else ServerCertificate(files, must_be_accepted=must_be_accepted)


def prepare_tls(
    certificate: ServerCertificate | None, settings: ServerSettings
) -> OpenedTls | None:
    """Open the files that new settings name, for the `use` of a certificate.

    Raises:
        SettingsError: As by `ServerCertificate.prepare`.
    """
    files = tls_files_of(settings)
    return None if certificate is None or files is None else certificate.prepare(files)


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
