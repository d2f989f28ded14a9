"""`serve --check` and `settings show`: what a server would find, and with which settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX, settings_of

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_everything_is_tried_whatever_fails(run: Run, store: Path, tmp_path: Path) -> None:
    done = run("serve", store, "postgresql://ada:pw@127.0.0.1:1/x", "--host", "0.0.0.0", "--check")
    assert done.code == 2
    rows = [line.split(maxsplit=2) for line in done.out.splitlines()]
    assert rows[0] == ["CHECK", "RESULT", "DETAIL"]
    assert [row[1] for row in rows[1:5]] == ["failed", "ok", "ok", "ok"]
    assert "no credential is configured" in rows[1][2]
    assert f"store {store}" in done.out
    assert "can be read" in done.out
    assert "the database cannot be reached" in done.out
    assert "ada" in done.out
    assert "pw@" not in done.out


def test_what_can_be_served_ends_with_0(
    run: Run, store: Path, make_certificate: Callable[..., Any]
) -> None:
    own = make_certificate("own")
    tls = ("--tls-certificate-file", own.path, "--tls-key-file", own.key)
    done = run("serve", store, *tls, "--check", "--json")
    assert done.code == 0
    assert done.json["ok"] is True
    results = {one["check"]: one for one in done.json["checks"]}
    assert results["TLS"]["detail"].startswith("localhost, 127.0.0.1; expires on ")
    assert {one["result"] for one in results.values()} == {"ok"}


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({"ENCRYPT_KEY": "-----BEGIN nothing"}, 2, "the encryption key cannot be used"),
        ({"TLS_CERTIFICATE_FILE": "/nowhere.pem"}, 2, "cannot read '/nowhere.pem'"),
        ({"STORE": '[{"url": "memory:", "applications": ["a b"]}, {"url": "memory:"}]'}, 2, "a b"),
        ({"ACCESS_FILE": "/nowhere.toml"}, 2, "cannot read the access file '/nowhere.toml'"),
        ({"ACCESS_FILE": "/nowhere.toml"}, 2, "/nowhere.toml"),
        ({"METRICS_LISTEN": "nowhere.invalid:9100"}, 2, "cannot listen on nowhere.invalid:9100"),
    ],
)
def test_what_fails_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], code: int, said: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(PREFIX + name, value)
    stores = () if "STORE" in environ else ("memory:",)
    done = run("serve", *stores, "--check")
    assert (done.code, said in done.out) == (code, True), done.out + done.err


def test_the_issuers_of_an_access_file_and_their_keys_are_tried(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, access = tmp_path / "keys.json", tmp_path / "access.toml"
    access.write_text(
        f'[issuers.cluster]\nissuer = "https://i"\naudiences = ["a"]\nkeys-file = "{keys}"\n'
        "[principals.orders]\n"
        'subjects = [{ issuer = "cluster", claims = { sub = "orders" } }]\n',
        encoding="utf-8",
    )
    access.chmod(0o600)
    monkeypatch.setenv(PREFIX + "ACCESS_FILE", str(access))
    missing = run("serve", store, "--check")
    assert missing.code != 0
    assert f"cannot read the keys of issuer cluster from {keys}" in " ".join(missing.out.split())
    keys.write_text('{"keys": []}', encoding="utf-8")
    assert "has no key that can verify a token" in run("serve", store, "--check").out
    key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    keys.write_text(f'{{"keys": [{key}]}}', encoding="utf-8")
    done = run("serve", store, "--check", "--json")
    assert done.code == 0
    results = {one["check"]: one for one in done.json["checks"]}
    assert results["issuer cluster"]["detail"] == f"1 keys from {keys}"


def test_no_store_and_an_expired_certificate_fail(
    run: Run, store: Path, make_certificate: Callable[..., Any]
) -> None:
    assert "there is nothing to serve" in run("serve", "--check").out
    old = make_certificate("old", days=-1)
    tls = ("--tls-certificate-file", old.path, "--tls-key-file", old.key)
    done = run("serve", store, *tls, "--check")
    assert done.code == 2
    assert "certificate has expired" in done.out


def test_json_belongs_to_check(run: Run, store: Path) -> None:
    done = run("serve", store, "--json")
    assert done.code == 2
    assert "--json belongs to --check" in done.err


def test_settings_are_shown_with_their_places(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Path
) -> None:
    file, token = tmp_path / "server.toml", tmp_path / "token"
    token.write_text("s3cr3t\n", encoding="utf-8")
    file.write_text(f'workers = 2\ntoken-file = "{token}"\nport = 1\n', encoding="utf-8")
    monkeypatch.setenv(PREFIX + "PORT", "2")
    monkeypatch.setenv(PREFIX + "HOST", "127.0.0.2")
    monkeypatch.setenv(PREFIX + "OVERRIDES", '{"db": {"password": "s3cr3t", "size": 3}}')
    done = run("settings", "show", store, "--settings", file, "--port", "3", "--json")
    shown = done.json
    assert shown["port"] == {"value": 3, "source": "--port"}
    assert shown["host"] == {"value": "127.0.0.2", "source": f"{PREFIX}HOST"}
    assert shown["workers"] == {"value": 2, "source": f"{str(file)!r}: 'workers'"}
    assert shown["token"]["source"] == f"{str(file)!r}: 'token-file'"
    assert shown["base-path"] == {"value": "/config", "source": "default"}
    assert shown["overrides"]["value"] == {"db.password": "******", "db.size": 3}
    table = run("settings", "show", store, "--settings", file).out
    assert "s3cr3t" not in table + done.out
    assert table.splitlines()[0].split() == ["SETTING", "VALUE", "SOURCE"]
    assert len(table.splitlines()) == 1 + len(ServerSettings.model_fields)


def test_no_secret_of_any_setting_is_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, load: Callable[..., ServerSettings]
) -> None:
    secret = "s3cr3t-c4n4ry"
    values = {
        name: f'{{"k": "{secret}"}}' if name in {"encrypt_keys", "encrypt_bound_keys"} else secret
        for name, setting in settings_of(ServerSettings).items()
        if setting.is_secret
    }
    values |= {
        "backend": f"postgresql://ada:{secret}@db/config?password={secret}",
        "overrides": f'{{"a": {{"token": "{secret}"}}, "url": "https://u:{secret}@h/x"}}',
    }
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name.upper(), value)
        for as_json in ((), ("--json",)):
            done = run("settings", "show", *as_json)
            assert secret not in done.out + done.err, name
        checked = run("serve", "memory:" if name != "backend" else "--insecure", "--check")
        assert secret not in checked.out + checked.err, name
        try:
            settings = ServerSettings()
        except ValueError as error:
            assert secret not in str(error) + repr(error), name
        else:
            assert secret not in repr(settings), name
        monkeypatch.delenv(PREFIX + name.upper())


def test_every_secret_may_be_in_a_file(tmp_path: Path, load: Callable[..., ServerSettings]) -> None:
    with_stores = tmp_path / "stores.json"
    with_stores.write_text('[{"url": "sqlite:////nowhere/x"}]', encoding="utf-8")
    assert load(STORE_FILE=str(with_stores)).store_urls == ("sqlite:////nowhere/x",)


def test_help_imports_neither_pydantic_nor_a_server() -> None:
    code = (
        "import sys; from pyfly.config_cli import main; main(['settings', '--help']); "
        "import pyfly.config_cli._commands.show_settings, pyfly.config_cli._commands.serve; "
        "print([one for one in ('pydantic', 'litestar', 'uvicorn') if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
