import argparse
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._known import KNOWN, PREFIX, SettingsError
from pyfly.config_cli._settings import parse_settings, shown_store
from pyfly.config_cli._sources import add_arguments, gather
from pyfly.config_server import HealthRepository, HealthSettings, HostPolicy


def settings(*argv: str, **environ: str) -> Any:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    prefixed = {f"PYFLY_CONFIG_SERVER_{name}": value for name, value in environ.items()}
    return parse_settings(gather(parser.parse_args(argv), prefixed | {"HOME": "/x"}))


def test_a_directory_is_enough(tmp_path: Path) -> None:
    found = settings(str(tmp_path))
    assert (found.backends, found.url) == ((tmp_path.as_uri(),), "http://127.0.0.1:8888/config")
    assert (found.workers, found.options["default_label"], found.credential) == (1, "main", None)


def test_an_argument_wins_over_the_environment(tmp_path: Path) -> None:
    found = settings(
        "memory:", "--port", "9000", "--base-path", "", BACKEND=str(tmp_path), PORT="1", HOST="::1"
    )
    assert (found.backends, found.url) == (("memory:",), "http://[::1]:9000")


def test_a_url_is_shown_without_what_it_may_carry() -> None:
    found = settings("postgresql://user:marker@host/db")
    assert found.shown == "postgresql://user@host/db"
    assert "marker" not in repr(found)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:marker@host/db", "postgresql://user@host/db"),
        ("postgresql://user@host:5432/db?password=marker", "postgresql://user@host:5432/db"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://a:1,b:2/db", "postgresql:"),
        ("postgresql://user:mar/ker@host/db", "postgresql:"),
        ("postgresql://user:mar?ker@host/db", "postgresql:"),
        ("postgresql://user:mar#ker@host/db", "postgresql:"),
        ("postgresql://user:mar@ker@host/db", "postgresql:"),
        ("postgresql://host/db?password=mar@ker", "postgresql:"),
        ("postgresql://user:marker", "postgresql:"),
        ("s3://bucket/prefix?region=x", "s3://bucket/prefix"),
        ("s3://KEY:marker@bucket", "s3://KEY@bucket"),
        ("sqlite:///var/lib/config.db", "sqlite:///var/lib/config.db"),
        ("file:///etc/pyfly?layout=flat", "file:///etc/pyfly"),
        ("memory:", "memory:"),
        ("x://host/\x1b[0m", "x:"),
    ],
)
def test_a_store_is_shown_so_that_it_is_known_but_without_a_password(url: str, shown: str) -> None:
    assert shown_store(url) == shown


def test_a_server_answers_to_the_name_that_it_listens_on() -> None:
    assert settings("memory:", "--host", "config.corp").hosts == HostPolicy(
        allowed=frozenset({"config.corp"})
    )
    assert settings("memory:", "--host", "::1").hosts == HostPolicy()


def test_credentials_come_from_the_environment_and_stay_hidden() -> None:
    basic = settings("memory:", USERNAME="u", PASSWORD="marker-1")
    bearer = settings("memory:", TOKEN="marker-2")
    assert (basic.credential.scheme, bearer.credential.scheme) == ("basic", "bearer")
    assert "marker" not in repr(basic) + repr(bearer)


def test_other_machines_are_served_with_a_credential_or_on_demand() -> None:
    assert settings("memory:", "--host", "0.0.0.0", TOKEN="x").host == "0.0.0.0"
    assert settings("memory:", "--host", "0.0.0.0", "--insecure").host == "0.0.0.0"
    assert settings("memory:", INSECURE="true", HOST="config.example").host == "config.example"
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert settings("memory:", "--host", host).host == host


def test_names_are_checked_unless_there_is_a_credential_or_everybody_may_read() -> None:
    named = settings("memory:", "--allowed-hosts", "Config.corp., intranet ,")
    assert named.hosts == HostPolicy(allowed=frozenset({"config.corp", "intranet"}))
    assert settings("memory:").hosts == HostPolicy()
    assert settings("memory:", TOKEN="x", ALLOWED_HOSTS="intranet").hosts is None
    assert settings("memory:", "--insecure").hosts is None


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        ((), {}, "pyfly-config serve ./config"),
        (("./nowhere",), {}, "there is no directory './nowhere'"),
        ((__file__,), {}, "is a file"),
        (("memory:", "--port", "x"), {}, "port must be a number"),
        (("memory:", "--port", "0000088889"), {}, "port must be a number"),
        (("memory:", "--port", "000000001" + "0" * 5_000), {}, "port must be a number"),
        (("memory:", "--allowed-hosts", "a,*.b"), {}, "ALLOWED_HOSTS: '*.b' is not a host name"),
        (("memory:",), {"TOKEN": "x", "ALLOWED_HOSTS": "a:80"}, "without scheme, port"),
        (("memory:", "--port", "0"), {}, "from 1 to 65535"),
        (("memory:", "--port", "65536"), {}, "from 1 to 65535"),
        (("memory:", "--port", "٣"), {}, "port must be a number"),
        (("memory:", "--workers", "2"), {}, "one worker"),
        (("memory:", "--workers", "-1"), {}, "workers must be"),
        (("memory:",), {"PROT": "1"}, "did you mean PYFLY_CONFIG_SERVER_PORT?"),
        (("memory:",), {"ZZZ": "1"}, "known are: BACKEND, HOST"),
        (("memory:",), {"USERNAME": "u"}, "belong together"),
        (("memory:",), {"USERNAME": "u", "PASSWORD": "p", "TOKEN": "t"}, "not both"),
        (("memory:",), {"USERNAME": "u:v", "PASSWORD": "p"}, "without ':'"),
        (("memory:",), {"TOKEN": "a b"}, "white space"),
        (("memory:",), {"TOKEN": "a\0"}, "control characters"),
        (("memory:",), {"TOKEN": "\ufeffa"}, "control characters"),
        (("memory:",), {"INSECURE": "maybe"}, "'true' or 'false'"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: 1}"}, "'a' is a mapping of texts"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: {x: y}}"}, "'name', 'profiles' and 'label'"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: {name: ../x}}"}, "is not acceptable"),
    ],
)
def test_what_cannot_be_used_is_explained(argv: Any, environ: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(*argv, **environ)
    assert said in str(caught.value)


def toml(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_one_file_may_hold_every_setting(tmp_path: Path) -> None:
    file = toml(
        tmp_path / "server.toml",
        """\
backend = ["memory:", "carrier-pigeon://x"]
host = "::1"
port = 9000
base-path = ""
default-label = "release"
default-application-name = "shared"
default-profile = "base"
accept-empty = false
fail-on-composite-error = false
continue-on-label-failure = true
strip-document-from-yaml = false
reverse-location-order = true
version = "3f2a"
decrypt-endpoint = true
encrypt-key = "marker"
health-down-status = "OUT_OF_SERVICE"
allowed-hosts = ["config.corp", "intranet"]
token = "marker"

[overrides]
"flat.key" = "x"
nested.number = 8
nested.flag = true

[encrypt-keys]
2027 = "marker"

[health-repositories]
a = { name = "orders", profiles = "prod" }
b = {}
""",
    )
    found = settings("--settings", str(file))
    assert (found.backends, found.shown) == (
        ("memory:", "carrier-pigeon://x"),
        "memory:, carrier-pigeon://x",
    )
    assert (found.url, found.credential.scheme) == ("http://[::1]:9000", "bearer")
    assert found.options == {
        "default_label": "release",
        "default_application_name": "shared",
        "default_profile": "base",
        "overrides": {"flat.key": "x", "nested.number": "8", "nested.flag": "true"},
        "accept_empty": False,
        "fail_on_composite_error": False,
        "continue_on_label_failure": True,
        "strip_document_from_yaml": False,
        "reverse_location_order": True,
        "version": "3f2a",
    }
    assert found.keys.named == {"2027": "marker"}
    assert found.encryption["answers_decrypt"]
    assert found.health == HealthSettings(
        down_status="OUT_OF_SERVICE",
        repositories=(HealthRepository(name="orders", profiles="prod"), HealthRepository(name="b")),
    )
    assert "marker" not in repr(found)
    assert settings(SETTINGS=str(file), PORT="9001").url == "http://[::1]:9001"
    assert settings("--port", "9002", SETTINGS=str(file), PORT="9001").port == 9002
    assert settings("memory:", "--settings", str(file)).backends == ("memory:",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "there is no setting prot; did you mean port?"),
        ("port = [1]", "'port' has a value of the wrong type"),
        ("overrides = 1", "'overrides' is a table"),
        ("[overrides]\nday = 2001-12-14", "'overrides': 'day' holds a date"),
        ("port = x", "at line 1, column 8"),
        ("port = 99999999999999999999", "from 1 to 65535"),
        ("accept-empty = 'perhaps'", "ACCEPT_EMPTY must be 'true' or 'false'"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    file = toml(tmp_path / "server.toml", text)
    with pytest.raises(SettingsError) as caught:
        settings("memory:", "--settings", str(file))
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read '.*none\.toml': No such file"):
        settings("memory:", "--settings", str(tmp_path / "none.toml"))


def test_a_secret_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    file = toml(tmp_path / "server.toml", 'token = "marker"', mode=0o644)
    with pytest.raises(SettingsError, match="chmod o=") as caught:
        settings("memory:", "--settings", str(file))
    assert "marker" not in str(caught.value)
    assert settings("memory:", "--settings", str(toml(file, "port = 1", mode=0o644))).port == 1


def test_overrides_may_come_from_the_environment() -> None:
    found = settings("memory:", OVERRIDES='{"a": {"b": 1}, "t": "\\\\${x}"}')
    assert found.options["overrides"] == {"a.b": "1", "t": "\\${x}"}
    with pytest.raises(SettingsError, match="OVERRIDES: not a mapping"):
        settings("memory:", OVERRIDES="[1]")


def test_several_stores_may_come_from_arguments_or_lines(tmp_path: Path) -> None:
    found = settings("memory:", str(tmp_path))
    assert found.backends == ("memory:", tmp_path.as_uri())
    assert settings(BACKEND=f"memory:\n{tmp_path}\n").backends == found.backends


def test_the_documentation_lists_every_setting_with_the_name_that_spring_gives_it() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "serve.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if "|" in line]
    for name, setting in KNOWN.items():
        (row,) = [row for row in rows if f"`{PREFIX}{name}`" in row]
        assert f"`{name.lower().replace('_', '-')}`" in row
        assert f"`{setting.spring}`" in row or not setting.spring
        assert f"`{setting.default}`" in row or not setting.default
