"""Files of TLS: what is refused, with which words, and when they are read again."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving import certificates
from pyfly.config_cli._serving.certificates import (
    ServerCertificate,
    inspect_certificate,
    open_tls,
)
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.tls import TlsFiles, tls_files_of

MakeCertificate = Callable[..., Any]


def files_of(own: Any, **changed: Any) -> TlsFiles:
    return TlsFiles(**{"certificate": own.path, "key": own.key} | changed)


def test_a_certificate_tells_its_names_and_its_end(make_certificate: MakeCertificate) -> None:
    info = inspect_certificate(files_of(make_certificate("own", days=30)))
    assert info.names == ("localhost", "127.0.0.1")
    assert not info.expires_soon
    assert inspect_certificate(files_of(make_certificate("short", days=3))).expires_soon
    authority = make_certificate("authority")
    issued = files_of(make_certificate("issued", issuer=authority))
    assert inspect_certificate(issued).names == ("localhost", "127.0.0.1")


def test_an_expired_certificate_is_told(
    make_certificate: MakeCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(make_certificate("old", days=-1))
    with pytest.raises(SettingsError, match="certificate has expired"):
        inspect_certificate(files)
    ServerCertificate(files)  # starts: some clients do not look at the date
    assert "certificate has expired" in caplog.text
    with pytest.raises(SettingsError, match="certificate has expired"):
        ServerCertificate(files, must_be_accepted=True)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(
    make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    certificate = make_certificate("own")
    encrypted = tmp_path / "encrypted.key"
    certificate.write_key(encrypted, password=b"open sesame")
    with pytest.raises(SettingsError, match=r"encrypted\.key' is encrypted; the server asks nob"):
        open_tls(files_of(certificate, key=encrypted))


def test_files_that_cannot_be_used_are_named(
    make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    own, other = make_certificate("own"), make_certificate("other")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ascii")
    broken_key = tmp_path / "broken.key"
    broken_key.write_bytes(own.key.read_bytes()[:-60])
    for files, message in (
        (files_of(own, key=other.key), "other.key' does not belong to the certificate"),
        (files_of(own, key=own.path), "own.pem' holds no private key in PEM format"),
        (files_of(own, certificate=own.key), "own.key' holds no certificate in PEM format"),
        (files_of(own, key=tmp_path / "no"), "no': No such file or directory"),
        (files_of(own, client_ca=tmp_path), "is not a file"),
        (files_of(own, client_ca=own.key), "own.key' holds no certificate in PEM format"),
        (files_of(own, client_ca=broken), "broken.pem' cannot be used for TLS"),
        (files_of(own, certificate=broken), "broken.pem' cannot be used for TLS"),
        (files_of(own, key=broken_key), "broken.key' cannot be used for TLS: it cannot be read"),
    ):
        with pytest.raises(SettingsError, match=message):
            open_tls(files)


def test_files_that_were_replaced_are_read_again(
    make_certificate: MakeCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = make_certificate("own"), make_certificate("other")
    certificate = ServerCertificate(files_of(own))
    first = certificate.context
    certificate.renew()
    assert certificate.context is first
    other.path.replace(own.path)
    with caplog.at_level(logging.INFO, "pyfly"):
        certificate.renew()  # the key does not belong to it yet
        certificate.renew()
        assert certificate.context is first
        assert caplog.text.count("is not renewed, the one before stays in use") == 1
        other.key.replace(own.key)
        certificate.renew()
    assert certificate.context is not first
    assert "certificate renewed" in caplog.text


def test_an_expired_certificate_does_not_replace_a_good_one(
    make_certificate: MakeCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    own, old = make_certificate("own"), make_certificate("old", days=-1)
    certificate = ServerCertificate(files_of(own))
    first = certificate.context
    with pytest.raises(SettingsError, match="certificate has expired"):
        certificate.prepare(files_of(old))
    old.key.replace(own.key)
    old.path.replace(own.path)
    certificate.renew()
    assert certificate.context is first
    assert "is not renewed, the one before stays in use" in caplog.text
    other = make_certificate("other", days=-1)  # one that was refused before may stay in use
    certificate = ServerCertificate(files_of(other))
    certificate.use(certificate.prepare(files_of(other)))


@pytest.mark.parametrize("days", [30, -1])
def test_files_replaced_while_they_are_read_are_read_again(
    make_certificate: MakeCertificate, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    own, other = make_certificate("own", days=days), make_certificate("other")
    load_key = certificates._load_key

    def replace_meanwhile(files: TlsFiles) -> ssl.SSLContext:
        context = load_key(files)
        other.key.replace(own.key)
        other.path.replace(own.path)
        return context

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_load_key", replace_meanwhile)
        certificate = ServerCertificate(files_of(own))
    assert certificate.is_accepted == (days > 0)  # of what is in use, not of what came meanwhile
    first = certificate.context
    certificate.renew()
    assert certificate.context is not first
    assert certificate.is_accepted


def test_a_file_that_disappears_while_it_is_read_is_named(
    make_certificate: MakeCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_certificate("own")
    monkeypatch.setattr(certificates, "_check_pem", lambda *_: own.key.unlink(missing_ok=True))
    with pytest.raises(SettingsError, match=r"own\.pem' cannot be used for TLS: no such file"):
        open_tls(files_of(own))


def test_the_key_may_be_in_the_file_of_the_certificate(
    make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    own = make_certificate("own")
    both = tmp_path / "both.pem"
    both.write_bytes(own.key.read_bytes() + own.path.read_bytes())
    files = tls_files_of(ServerSettings(tls_certificate_file=str(both), tls_min_version="1.3"))
    assert files is not None
    assert open_tls(files).minimum_version is ssl.TLSVersion.TLSv1_3


def test_other_files_need_a_certificate(load: Callable[..., ServerSettings]) -> None:
    assert tls_files_of(load()) is None
    for name in ("TLS_KEY_FILE", "TLS_CLIENT_CA_FILE"):
        with pytest.raises(SettingsError, match=f"{name} needs PYFLY_CONFIG_SERVER_TLS_CERTIFI"):
            load(**{name: "x.pem"})
    with pytest.raises(SettingsError, match=r"TLS_MIN_VERSION: must be one of 1\.2, 1\.3"):
        load(TLS_MIN_VERSION="1.1")
