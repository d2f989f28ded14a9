"""Settings that others write: Kubernetes' variables, files of secrets, every kind of character."""

import base64
import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from pyfly.config_cli import main
from pyfly.config_cli._errors import ArgumentError, SettingsError
from pyfly.config_cli._serving.setup import store_locations
from pyfly.config_cli._settings.credentials import credential_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX, fields_with_files, key_of, settings_of
from pyfly.config_cli._settings.secret_files import read_secret_file
from pyfly.config_cli._settings.transfer import encode_settings

Load = Callable[..., ServerSettings]

PRINTABLE = "".join(map(chr, range(33, 127))) + "äß€💥"
PASSWORD = " " + PRINTABLE + " "
FILE_SETTINGS = fields_with_files(ServerSettings)
SECRETS = [name for name, setting in settings_of(ServerSettings).items() if setting.is_secret]
MAPPINGS = {"encrypt_bound_keys", "encrypt_keys"}


def text_of(settings: ServerSettings, name: str) -> object:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


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
def test_variables_that_kubernetes_injects_are_no_settings(
    load: Load, service: str, address: str
) -> None:
    injected = service_links(service, address, http=8888, http_metrics=9090)
    without_prefix = {name.removeprefix(PREFIX): value for name, value in injected.items()}
    found = load("memory:", TOKEN="t", **without_prefix)
    assert encode_settings(found) == {"backend": ["memory:"], "token": "t"}
    assert found.port == 8888


def test_an_injected_port_does_not_replace_the_port_of_the_settings_file(
    load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("port = 9000\n", encoding="utf-8")
    assert load("--settings", file, PORT="tcp://10.0.0.1:8888").port == 9000


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
def test_a_misspelt_setting_is_still_an_error(load: Load, name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        load("memory:", **{name: value})


def test_a_port_that_is_no_service_link_is_still_checked(load: Load) -> None:
    for port in ("tcp://10.0.0.1", "http://10.0.0.1:80", "tcp:8888"):
        with pytest.raises(SettingsError, match="PORT: must be a number"):
            load("memory:", PORT=port)


# --- secrets in files of their own ----------------------------------------------------


def test_every_secret_can_stand_in_a_file_of_its_own(load: Load, tmp_path: Path) -> None:
    assert {*FILE_SETTINGS.values()} >= {*SECRETS}
    for setting, name in FILE_SETTINGS.items():
        if name == "store":
            continue  # tables, tested below
        given = REQUIRED.get(name, {})
        wrapped = "{{a: '{}'}}" if name in MAPPINGS else "{}"
        file = tmp_path / setting
        for content, text in (("x+y", "x+y"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n")):
            for mark in (b"", b"\xef\xbb\xbf"):
                stored = wrapped.format(content.rstrip()) if name in MAPPINGS else content
                file.write_bytes(mark + stored.encode())
                if not text.endswith("\n"):  # what such a text means is another matter
                    found = load(**given, **{setting.upper(): str(file)})
                    assert text_of(found, name) == expected(name, text)
        file.write_text(wrapped.format("x") + "\n", encoding="utf-8")
        toml = tmp_path / "server.toml"
        toml.write_text(f"{key_of(setting)} = {json.dumps(str(file))}\n", encoding="utf-8")
        toml.chmod(0o644)  # it holds no secret itself
        found = load("--settings", toml, **given)
        assert text_of(found, name) == expected(name, "x")
        own = {name.upper(): wrapped.format("y")}
        assert text_of(load("--settings", toml, **given, **own), name) == expected(name, "y")


def test_tables_of_stores_with_passwords_can_stand_in_a_file_of_their_own(
    load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "stores"
    file.write_text('[{"url": "postgresql://u:pw@db/one"}]\n', encoding="utf-8")
    (table,) = load(STORE_FILE=str(file)).store
    assert table.url == "postgresql://u:pw@db/one"
    file.write_text("postgresql://u:pw@db/one\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="STORE_FILE: must be tables with 'url'") as caught:
        load(STORE_FILE=str(file))
    assert "pw" not in str(caught.value)


REQUIRED = {
    "encrypt_key_store_password": {
        "ENCRYPT_KEY_STORE_LOCATION": "keys.p12",
        "ENCRYPT_KEY_STORE_ALIAS": "a",
    },
    "encrypt_key_store_secret": {
        "ENCRYPT_KEY_STORE_LOCATION": "keys.p12",
        "ENCRYPT_KEY_STORE_ALIAS": "a",
        "ENCRYPT_KEY_STORE_PASSWORD": "p",
    },
    "encrypt_keys": {"ENCRYPT_KEY": "k"},
    "password": {"USERNAME": "u"},
    "username": {"PASSWORD": "p"},
}
"""What must be set together with a secret."""


def expected(name: str, text: str) -> object:
    """Return what a setting holds when a file holds a text."""
    if name == "backend":
        return (text,)
    return {"a": SecretStr(text)} if name in MAPPINGS else text


def test_only_one_line_end_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content, text in (("x\n\n", "x\n"), ("x\r\n\r\n", "x\r\n"), (" x ", " x ")):
        file.write_bytes(content.encode())
        assert read_secret_file(file, setting="PASSWORD_FILE") == text


def test_the_documentation_names_the_settings_that_a_file_may_hold() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "serve.md"
    (line,) = [row for row in page.read_text(encoding="utf-8").splitlines() if "`…_FILE`" in row]
    assert [name for name in FILE_SETTINGS.values() if f"`{name.upper()}`" not in line] == []


def test_a_file_of_a_secret_that_cannot_be_used_is_named(load: Load, tmp_path: Path) -> None:
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
            load("memory:", TOKEN_FILE=str(file))
        assert "marker" not in f"{caught.value!r}{caught.value.__cause__!r}"
    with pytest.raises(SettingsError, match=r"either .*_TOKEN or .*_TOKEN_FILE, not both"):
        load("memory:", TOKEN="x", TOKEN_FILE=str(other))


def test_a_secret_that_is_the_name_of_a_file_is_refused(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("marker", encoding="utf-8")
    for name in SECRETS:
        with pytest.raises(
            SettingsError, match=f"is the name of a file; .*{name.upper()}_FILE instead"
        ):
            load("memory:", **{name.upper(): str(file)})
        settings = tmp_path / "server.toml"
        settings.write_text(f"{key_of(name)} = {json.dumps(str(file))}\n", encoding="utf-8")
        settings.chmod(0o600)
        if name not in MAPPINGS:
            said = f"'{key_of(name)}' is the name of a file; .* set '{key_of(name)}-file' instead"
            with pytest.raises(SettingsError, match=said):
                load("memory:", "--settings", settings)
    for text in (str(tmp_path), str(tmp_path / "none"), "/" + "x" * 5000, "token"):
        assert text_of(load("memory:", TOKEN=text), "token") == text


def test_a_secret_that_is_the_name_of_a_file_that_must_not_be_seen_is_refused(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_file(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", is_file)  # tests may run as root, who sees everything
    with pytest.raises(SettingsError, match="TOKEN_FILE instead"):
        load("memory:", TOKEN="/closed/token")


def test_a_directory_that_cannot_be_looked_for_is_a_mistake_in_the_arguments(
    load: Load,
) -> None:
    with pytest.raises(ArgumentError, match=r"cannot look for .*: File name too long"):
        store_locations(load("x" * 5000))
    with pytest.raises(ArgumentError, match="there is no directory"):
        store_locations(load("a\0b"))


def test_a_settings_file_with_a_password_in_a_url_is_kept_from_others(
    load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "server.toml"
    for url in ("postgresql://u:marker@h/d", "postgresql://u:marker/x@h/d"):
        file.write_text(f'backend = ["memory:", "{url}"]\n', encoding="utf-8")
        file.chmod(0o644)
        with pytest.raises(SettingsError, match="open to every user") as caught:
            load("--settings", file)
        assert "marker" not in str(caught.value)
        file.chmod(0o600)
        assert load("--settings", file).backend == ("memory:", url)
    file.write_text('backend = "postgresql://u@h/d"\n', encoding="utf-8")
    file.chmod(0o644)
    assert load("--settings", file).backend == ("postgresql://u@h/d",)


# --- every printable character --------------------------------------------------------


def places(load: Load, tmp_path: Path, secrets: dict[str, str]) -> list[ServerSettings]:
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
        load("memory:", **secrets),
        load("memory:", "--settings", toml),
        load("memory:", **{f"{name}_FILE": str(file) for name, file in files.items()}),
    ]


def test_a_token_may_hold_every_printable_character(load: Load, tmp_path: Path) -> None:
    for given in places(load, tmp_path, {"TOKEN": PRINTABLE}):
        credential = credential_of(given)
        assert credential is not None
        assert credential.admits(b"Bearer " + PRINTABLE.encode())
        assert not credential.admits(b"Bearer " + PRINTABLE[:-1].encode())


def test_a_user_name_and_a_password_may_hold_every_printable_character(
    load: Load, tmp_path: Path
) -> None:
    name = PRINTABLE.replace(":", "")
    for given in places(load, tmp_path, {"USERNAME": name, "PASSWORD": PASSWORD}):
        credential = credential_of(given)
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
def test_a_setting_that_cannot_be_used_is_not_shown(load: Load, char: str) -> None:
    for given in (
        {"TOKEN": f"marker{char} x"},
        {"USERNAME": f"marker:{char}", "PASSWORD": "marker"},
        {"ENCRYPT_KEYS": f"{{a: marker{char}: [}}"},
        {"TOKEN": "marker\udcff"},
    ):
        with pytest.raises(SettingsError) as caught:
            load("memory:", **given)
        assert "marker" not in f"{caught.value!r}{caught.value}"
