"""Settings of TLS: the files, and what may connect."""

from dataclasses import dataclass
from pathlib import Path
from ssl import TLSVersion
from typing import Final

from pyfly.config_cli._settings.fields import SettingsConflictError
from pyfly.config_cli._settings.model import ServerSettings

_VERSIONS: Final = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The files of a server that speaks TLS. All of them are PEM."""

    certificate: Path
    """The certificate, and those between it and its authority."""
    key: Path
    """The private key; may be the same file."""
    client_ca: Path | None = None
    """Authorities of clients: only clients with a certificate from one of them may connect."""
    min_version: TLSVersion = TLSVersion.TLSv1_2

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        ca = () if self.client_ca is None else (self.client_ca,)
        return (self.certificate, self.key, *ca)


def tls_files_of(settings: ServerSettings) -> TlsFiles | None:
    """Return the files of TLS, `None` if the server does not speak it. Nothing is read.

    Raises:
        SettingsConflictError: There is no certificate for the other settings.
    """
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    client_ca = settings.tls_client_ca_file
    if not certificate:
        for name, value in (("tls_key_file", key), ("tls_client_ca_file", client_ca)):
            if value:
                raise SettingsConflictError(f"{{{name}}} needs {{tls_certificate_file}}")
        return None
    return TlsFiles(
        certificate=Path(certificate),
        key=Path(key or certificate),
        client_ca=Path(client_ca) if client_ca else None,
        min_version=_VERSIONS[settings.tls_min_version],
    )
