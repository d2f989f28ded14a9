"""Settings that others write: Kubernetes' variables, files of secrets, every kind of character."""

import argparse
import base64
import json
import string
from pathlib import Path

import pytest

from pyfly.config_cli import main
from pyfly.config_cli._known import MAPPINGS, PREFIX, SECRETS, SettingsError
from pyfly.config_cli._secret_files import FILE_SETTINGS
from pyfly.config_cli._settings import parse_settings
from pyfly.config_cli._sources import add_arguments, gather, settings_in, toml_key

PRINTABLE = "".join(map(chr, range(33, 127))) + "äß€💥"
PASSWORD = " " + PRINTABLE + " "


def values(*argv: str, **environ: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    prefixed = {PREFIX + name: value for name, value in environ.items()}
    return gather(parser.parse_args(argv), prefixed)


# --- variables that Kubernetes injects ------------------------------------------------


def service_links(service: str, address: str = "10.0.0.1", **ports: int) -> dict[str, str]:
    """Return the variables of a Service with named ports, as the kubelet makes them."""
    host = f"[{address}]" if ":" in address else address
    name = service.upper().replace("-", "_")
    first = next(iter(ports.values()))
    found = {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(first),
        f"{name}_PORT": f"tcp://{host}:{first}",
    }
    for port_name, number in ports.items():
        for protocol in ("tcp", "udp", "sctp"):
            prefix = f"{name}_PORT_{number}_{protocol.upper()}"
            found |= {
                f"{name}_SERVICE_PORT_{port_name.upper()}": str(number),
                prefix: f"{protocol}://{host}:{number}",
                f"{prefix}_PROTO": protocol,
                f"{prefix}_PORT": str(number),
                f"{prefix}_ADDR": address,
            }
    return found


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
@pytest.mark.parametrize(
    "service",
    [
        "pyfly-config-server",
        "pyfly-config-server-token",
        "pyfly-config-server-encrypt-key-store",
        "pyfly-config-server-v2",
    ],
)
def test_variables_that_kubernetes_injects_are_no_settings(service: str, address: str) -> None:
    injected = service_links(service, address, http=8888, http_metrics=9090)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    found = gather(parser.parse_args(["memory:"]), injected | {PREFIX + "TOKEN": "t"})
    assert found == {"BACKEND": "memory:", "TOKEN": "t"}
    assert parse_settings(found).port == 8888
    assert settings_in(injected) == {}


def test_an_injected_port_does_not_replace_the_port_of_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("port = 9000\n", encoding="utf-8")
    assert values("--settings", str(file), PORT="tcp://10.0.0.1:8888")["PORT"] == "9000"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SERVICE_HOTS", "10.0.0.1", "there is no setting"),
        ("SERVICE_HOST", "config.example", "there is no setting"),
        ("SERVICE_PORT", "http", "there is no setting"),
        ("PORT_8888_TCP", "8888", "there is no setting"),
        ("TOKEN_PORT", "9000", "there is no setting"),
        ("PROT", "9000", "did you mean PYFLY_CONFIG_SERVER_PORT?"),
        ("TOKEN_FIEL", "x", "did you mean PYFLY_CONFIG_SERVER_TOKEN_FILE?"),
    ],
)
def test_a_misspelt_setting_is_still_an_error(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        values("memory:", **{name: value})


def test_a_port_that_is_no_service_link_is_still_checked() -> None:
    for port in ("tcp://10.0.0.1", "http://10.0.0.1:80", "tcp:8888"):
        with pytest.raises(SettingsError, match="the port must be a number"):
            parse_settings(values("memory:", PORT=port))


# --- secrets in files of their own ----------------------------------------------------


def test_every_secret_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    assert {*FILE_SETTINGS.values()} >= SECRETS
    for setting, name in FILE_SETTINGS.items():
        file = tmp_path / setting
        for content, text in (("x y", "x y"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n")):
            for mark in (b"", b"\xef\xbb\xbf"):
                file.write_bytes(mark + content.encode())
                assert values(**{setting: str(file)})[name] == text
        toml = tmp_path / "server.toml"
        toml.write_text(
            f"{setting.lower().replace('_', '-')} = {json.dumps(str(file))}\n", encoding="utf-8"
        )
        toml.chmod(0o644)  # it holds no secret itself
        assert values("--settings", str(toml))[name] == "x\n"
        assert values("--settings", str(toml), **{name: "y"})[name] == "y"


def test_the_documentation_names_the_settings_that_a_file_may_hold() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "serve.md"
    (line,) = [row for row in page.read_text(encoding="utf-8").splitlines() if "`…_FILE`" in row]
    assert [name for name in FILE_SETTINGS.values() if f"`{name}`" not in line] == []


def test_a_file_of_a_secret_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    empty, other, large = tmp_path / "empty", tmp_path / "other", tmp_path / "large"
    empty.write_bytes(b"\n")
    other.write_bytes(b"marker\xff")
    large.write_bytes(b"marker" * 200_000)
    for file, said in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (empty, "is empty"),
        (other, "is not UTF-8"),
        (large, "is larger than 1,048,576 bytes"),
    ):
        with pytest.raises(SettingsError, match=f"^{PREFIX}TOKEN_FILE: .*{said}") as caught:
            values("memory:", TOKEN_FILE=str(file))
        assert "marker" not in f"{caught.value!r}{caught.value.__cause__!r}"
    with pytest.raises(SettingsError, match=r"either .*_TOKEN or .*_TOKEN_FILE, not both"):
        values("memory:", TOKEN="x", TOKEN_FILE=str(other))


def test_a_secret_that_is_the_name_of_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("marker", encoding="utf-8")
    for name in SECRETS:
        with pytest.raises(SettingsError, match=f"is the name of a file; .*{name}_FILE instead"):
            values("memory:", **{name: str(file)})
        settings = tmp_path / "server.toml"
        settings.write_text(f"{toml_key(name)} = {json.dumps(str(file))}\n", encoding="utf-8")
        settings.chmod(0o600)
        if name not in MAPPINGS:
            said = (
                f"'{toml_key(name)}' is the name of a file; .* set '{toml_key(name)}-file' instead"
            )
            with pytest.raises(SettingsError, match=said):
                values("memory:", "--settings", str(settings))
    for text in (str(tmp_path), str(tmp_path / "none"), "/" + "x" * 5000, "token"):
        assert values("memory:", TOKEN=text)["TOKEN"] == text


def test_a_secret_that_is_the_name_of_a_file_that_must_not_be_seen_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_file(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", is_file)  # tests may run as root, who sees everything
    with pytest.raises(SettingsError, match="TOKEN_FILE instead"):
        values("memory:", TOKEN="/closed/token")


def test_a_directory_that_cannot_be_looked_for_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"cannot look for .*: File name too long"):
        parse_settings(values("x" * 5000))
    with pytest.raises(SettingsError, match="there is no directory"):
        parse_settings(values("a\0b"))


def test_a_settings_file_with_a_password_in_a_url_is_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    for url in ("postgresql://u:marker@h/d", "postgresql://u:marker/x@h/d"):
        file.write_text(f'backend = ["memory:", "{url}"]\n', encoding="utf-8")
        file.chmod(0o644)
        with pytest.raises(SettingsError, match="open to everybody") as caught:
            values("--settings", str(file))
        assert "marker" not in str(caught.value)
        file.chmod(0o600)
        assert values("--settings", str(file))["BACKEND"].splitlines() == ["memory:", url]
    file.write_text('backend = "postgresql://u@h/d"\n', encoding="utf-8")
    file.chmod(0o644)
    assert values("--settings", str(file))["BACKEND"] == "postgresql://u@h/d"


# --- every printable character --------------------------------------------------------


def places(tmp_path: Path, secrets: dict[str, str]) -> list[dict[str, str]]:
    """Return the settings as they arrive by the environment, a settings file, and files."""
    toml = tmp_path / "server.toml"
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in secrets.items()}
    rows = [f"{name.lower()} = {text}\n" for name, text in quoted.items()]
    toml.write_text("".join(rows), encoding="utf-8")
    toml.chmod(0o600)
    files = {name: tmp_path / name for name in secrets}
    for name, file in files.items():
        file.write_text(secrets[name] + "\n", encoding="utf-8")
    return [
        values("memory:", **secrets),
        values("memory:", "--settings", str(toml)),
        values("memory:", **{f"{name}_FILE": str(file) for name, file in files.items()}),
    ]


def test_a_token_may_hold_every_printable_character(tmp_path: Path) -> None:
    for given in places(tmp_path, {"TOKEN": PRINTABLE}):
        credential = parse_settings(given).credential
        assert credential is not None
        assert credential.admits(b"Bearer " + PRINTABLE.encode())
        assert not credential.admits(b"Bearer " + PRINTABLE[:-1].encode())


def test_a_user_name_and_a_password_may_hold_every_printable_character(tmp_path: Path) -> None:
    name = PRINTABLE.replace(":", "")
    for given in places(tmp_path, {"USERNAME": name, "PASSWORD": PASSWORD}):
        credential = parse_settings(given).credential
        assert credential is not None
        sent = base64.b64encode(f"{name}:{PASSWORD}".encode())
        assert credential.admits(b"Basic " + sent)


def test_a_key_may_hold_every_printable_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    file.write_text(PASSWORD, encoding="utf-8")
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY", PASSWORD)
    assert main(["encrypt", PRINTABLE]) == 0
    stored = capsys.readouterr().out.strip()
    monkeypatch.delenv(PREFIX + "ENCRYPT_KEY")
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY_FILE", str(file))
    assert main(["decrypt", stored]) == 0
    assert capsys.readouterr().out == PRINTABLE + "\n"


@pytest.mark.parametrize("char", sorted(set(string.punctuation)))
def test_a_setting_that_cannot_be_used_is_not_shown(char: str) -> None:
    for given in (
        {"TOKEN": f"marker{char} x"},
        {"USERNAME": f"marker:{char}", "PASSWORD": "marker"},
        {"ENCRYPT_KEYS": f"{{a: marker{char}: [}}"},
        {"TOKEN": "marker\udcff"},
    ):
        with pytest.raises(SettingsError) as caught:
            parse_settings(values("memory:", **given))
        assert "marker" not in f"{caught.value!r}{caught.value}"
