import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._errors import ArgumentError, SettingsError
from pyfly.config_cli._serving.setup import store_locations
from pyfly.config_cli._serving.start_report import url_of
from pyfly.config_cli._settings.credentials import (
    authenticator_of,
    credential_of,
    credentials_of,
    host_policy_of,
)
from pyfly.config_cli._settings.encryption import encryption_of, keys_of
from pyfly.config_cli._settings.health import health_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.proxies import proxies_of
from pyfly.config_cli._settings.transfer import decode_settings, encode_settings
from pyfly.config_cli._stores.location import shown_url
from pyfly.config_server import (
    AccessFileAuthenticator,
    AuthenticatorGroup,
    HealthRepository,
    HealthSettings,
    HostPolicy,
    ProxyPolicy,
)

Load = Callable[..., ServerSettings]


def test_a_directory_is_enough(load: Load, tmp_path: Path) -> None:
    found = load(tmp_path)
    assert [store.url for store in store_locations(found)] == [tmp_path.as_uri()]
    assert url_of(found) == "http://127.0.0.1:8888/config"
    assert (found.workers, found.default_label, credential_of(found)) == (1, "main", None)


def test_an_argument_wins_over_the_environment(load: Load, tmp_path: Path) -> None:
    found = load(
        "memory:", "--port", "9000", "--base-path", "", BACKEND=str(tmp_path), PORT="1", HOST="::1"
    )
    assert (found.backend, url_of(found)) == (("memory:",), "http://[::1]:9000")


def test_a_url_is_shown_without_what_it_may_carry(load: Load) -> None:
    found = load("postgresql://user:marker@host/db")
    stores = store_locations(found)
    assert [store.shown for store in stores] == ["postgresql://user@host/db"]
    assert "marker" not in f"{found!r}{found}{stores!r}"


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
        ("git+https://marker@host/x.git", "git+https://host/x.git"),
        ("git+https://marker:x-oauth-basic@host/x.git", "git+https://host/x.git"),
        ("git+ssh://git@host/x.git", "git+ssh://git@host/x.git"),
        ("sqlite:///var/lib/config.db", "sqlite:///var/lib/config.db"),
        ("file:///etc/pyfly?layout=spring", "file:///etc/pyfly"),
        ("memory:", "memory:"),
        ("x://host/\x1b[0m", "x:"),
    ],
)
def test_a_store_is_shown_so_that_it_is_known_but_without_a_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_server_answers_to_the_name_that_it_listens_on(load: Load) -> None:
    assert host_policy_of(load("memory:", "--host", "config.corp")) == HostPolicy(
        allowed=frozenset({"config.corp"})
    )
    assert host_policy_of(load("memory:", "--host", "::1")) == HostPolicy()


def test_credentials_come_from_the_environment_and_stay_hidden(load: Load) -> None:
    for scheme, found in (
        ("basic", load("memory:", USERNAME="u", PASSWORD="marker-1")),
        ("bearer", load("memory:", TOKEN="marker-2")),
    ):
        credential = credential_of(found)
        assert credential is not None
        assert credential.scheme == scheme
        shown = (repr(found), str(found), str(found.model_dump()), found.model_dump_json())
        assert "marker" not in "".join(shown)


def test_other_machines_are_served_with_a_credential_or_on_demand(load: Load) -> None:
    assert load("memory:", "--host", "0.0.0.0", TOKEN="x").host == "0.0.0.0"
    assert load("memory:", "--host", "0.0.0.0", "--insecure").host == "0.0.0.0"
    assert load("memory:", INSECURE="true", HOST="config.example").host == "config.example"
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert load("memory:", "--host", host).host == host


def test_names_are_checked_unless_there_is_a_credential_or_everybody_may_read(
    load: Load,
) -> None:
    named = load("memory:", "--allowed-hosts", "Config.corp., intranet ,")
    assert host_policy_of(named) == HostPolicy(allowed=frozenset({"config.corp", "intranet"}))
    assert host_policy_of(load("memory:")) == HostPolicy()
    assert host_policy_of(load("memory:", TOKEN="x", ALLOWED_HOSTS="intranet")) is None
    assert host_policy_of(load("memory:", "--insecure")) is None


def access_file(path: Path, name: str = "orders") -> Path:
    path.write_text(f"[principals.{name}]\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_an_access_file_is_a_credential_alone_or_beside_the_shared_one(
    load: Load, tmp_path: Path
) -> None:
    path = access_file(tmp_path / "access.toml")
    assert authenticator_of(load("memory:")) is None
    alone = load("memory:", "--host", "config.corp", ACCESS_FILE=str(path))
    assert isinstance(authenticator_of(alone), AccessFileAuthenticator)
    assert credential_of(alone) is None
    assert host_policy_of(alone) is None
    beside = load("memory:", TOKEN="t", ACCESS_FILE=str(path))
    assert isinstance(authenticator_of(beside), AuthenticatorGroup)


def test_proxies_are_trusted_by_address_and_name_clients_in_one_header(
    load: Load, tmp_path: Path
) -> None:
    path = str(access_file(tmp_path / "access.toml"))
    assert proxies_of(load("memory:")) is None
    found = proxies_of(load("memory:", TRUSTED_PROXIES="10.0.0.5, fd00::/8"))
    assert found == ProxyPolicy(trusted=("10.0.0.5", "fd00::/8"))
    both = {"TRUSTED_PROXIES": "10.0.0.5", "IDENTITY_HEADER": "X-Client-Subject"}
    settings = load("memory:", ACCESS_FILE=path, **both)
    assert proxies_of(settings) == ProxyPolicy(
        trusted=("10.0.0.5",), identity_header="X-Client-Subject"
    )
    assert credentials_of(settings).endswith("and X-Client-Subject of trusted proxies")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"IDENTITY_HEADER": "X-Who"}, "IDENTITY_HEADER needs PYFLY_CONFIG_SERVER_TRUSTED_PROXIES"),
        (
            {"IDENTITY_HEADER": "X-Who", "TRUSTED_PROXIES": "10.0.0.5", "TOKEN": "t"},
            "IDENTITY_HEADER needs PYFLY_CONFIG_SERVER_ACCESS_FILE",
        ),
        (
            {"IDENTITY_HEADER": "Host", "TRUSTED_PROXIES": "10.0.0.5", "ACCESS_FILE": "a"},
            "IDENTITY_HEADER: Host has another meaning",
        ),
        ({"TRUSTED_PROXIES": "proxy"}, "TRUSTED_PROXIES: 'proxy' is not an address or a network"),
        ({"TRUSTED_PROXIES": "{x}"}, "TRUSTED_PROXIES: '{x}' is not an address"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "everybody would be trusted"),
    ],
)
def test_proxies_that_cannot_be_meant_are_refused(
    load: Load, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load("memory:", **environ)


@pytest.mark.parametrize("name", ["ACCESS_FILE", "TLS_CERTIFICATE_FILE", "TLS_CLIENT_CA_FILE"])
def test_an_empty_name_of_a_file_that_guards_the_server_is_a_mistake(
    load: Load, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SettingsError, match=rf"PYFLY_CONFIG_SERVER_{name}: must name a file"):
        load("memory:", **{name: ""})
    file = tmp_path / "settings.toml"
    key = name.lower().replace("_", "-")
    file.write_text(f"{key} = ''\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"{key}.*: must name a file"):
        load("memory:", "--settings", str(file))


@pytest.mark.parametrize(
    ("name", "environ", "said"),
    [
        ("orders", {"USERNAME": "orders", "PASSWORD": "p"}, "the shared credential has this name"),
        ("shared-token", {}, "the shared credential has this name"),
        ("a.b", {}, "principals.a.b: there is no such key"),
    ],
)
def test_an_access_file_that_is_ambiguous_or_broken_is_refused(
    load: Load, tmp_path: Path, name: str, environ: dict[str, str], said: str
) -> None:
    path = access_file(tmp_path / "access.toml", name)
    with pytest.raises(SettingsError, match=rf"access\.toml: .*{said}"):
        authenticator_of(load("memory:", ACCESS_FILE=str(path), **environ))
    path.unlink()
    with pytest.raises(SettingsError, match=r"cannot read the access file .*: No such file"):
        authenticator_of(load("memory:", ACCESS_FILE=str(path), **environ))


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        ((), {}, "pyfly-config serve ./config"),
        (("./nowhere",), {}, "there is no directory './nowhere'"),
        ((__file__,), {}, "is a file"),
        (("memory:", "--port", "x"), {}, "--port: must be a number"),
        (("memory:", "--port", "0000088889"), {}, "--port: must be a number"),
        (("memory:", "--port", "000000001" + "0" * 5_000), {}, "--port: must be a number"),
        (("memory:", "--allowed-hosts", "a,*.b"), {}, "--allowed-hosts: '*.b' is not a host name"),
        (
            ("memory:", "--allowed-hosts", "{a: 1}"),
            {},
            "--allowed-hosts: '{a: 1}' is not a host name",
        ),
        (("memory:", "--allowed-hosts", "{token}"), {}, "'{token}' is not a host name"),
        (("memory:",), {"TOKEN": "x", "ALLOWED_HOSTS": "a:80"}, "without scheme, port"),
        (("memory:", "--port", "0"), {}, "from 1 to 65535"),
        (("memory:", "--port", "65536"), {}, "from 1 to 65535"),
        (("memory:", "--port", "٣"), {}, "--port: must be a number"),
        (("memory:", "--workers", "2"), {}, "one worker"),
        (("memory:", "--workers", "-1"), {}, "--workers: must be a number from 1 to 256, not '-1'"),
        (("memory:",), {"PROT": "1"}, "did you mean PYFLY_CONFIG_SERVER_PORT?"),
        (("memory:",), {"ZZZ": "1"}, "known are: BACKEND, STORE, HOST"),
        (("memory:",), {"USERNAME": "u"}, "belong together"),
        (("memory:",), {"USERNAME": "u", "PASSWORD": "p", "TOKEN": "t"}, "not both"),
        (("memory:",), {"USERNAME": "u:v", "PASSWORD": "p"}, "without ':'"),
        (("memory:",), {"TOKEN": "a b"}, "white space"),
        (("memory:",), {"TOKEN": "a\1"}, "control characters"),
        (("memory:",), {"TOKEN": "\ufeffa"}, "control characters"),
        (("memory:",), {"INSECURE": "maybe"}, "PYFLY_CONFIG_SERVER_INSECURE: must be 'true' or"),
        (("memory:",), {"PORT": "0"}, "PYFLY_CONFIG_SERVER_PORT: must be a number from 1 to"),
        (("memory:",), {"MAX_STALENESS": "1e-9"}, "written as 2 or 0.5, not '1e-9'"),
        (("memory:",), {"MAX_STALENESS": "0"}, "seconds from 0.000001 to 99999"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: 1}"}, "'a' must be a mapping of texts"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: {x: y}}"}, "'name', 'profiles' and 'label'"),
        (("memory:",), {"HEALTH_REPOSITORIES": "{a: {name: ../x}}"}, "is not acceptable"),
    ],
)
def test_what_cannot_be_used_is_explained(load: Load, argv: Any, environ: Any, said: str) -> None:
    with pytest.raises((ArgumentError, SettingsError)) as caught:
        store_locations(load(*argv, **environ))
    assert said in str(caught.value)
    assert "pydantic" not in str(caught.value)


def toml(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_one_file_may_hold_every_setting(load: Load, tmp_path: Path) -> None:
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
    found = load("--settings", file)
    assert [store.shown for store in store_locations(found)] == ["memory:", "carrier-pigeon://x"]
    credential, keys = credential_of(found), keys_of(found)
    assert credential is not None
    assert keys is not None
    assert (url_of(found), credential.scheme) == ("http://[::1]:9000", "bearer")
    assert found.default_label == "release"
    assert found.default_application_name == "shared"
    assert found.default_profile == "base"
    assert found.overrides == {"flat.key": "x", "nested": {"number": 8, "flag": True}}
    assert not found.accept_empty
    assert not found.fail_on_composite_error
    assert found.continue_on_label_failure
    assert not found.strip_document_from_yaml
    assert found.reverse_location_order
    assert found.version == "3f2a"
    assert keys.named == {"2027": "marker"}
    assert encryption_of(found).answers_decrypt
    assert health_of(found) == HealthSettings(
        down_status="OUT_OF_SERVICE",
        repositories=(HealthRepository(name="orders", profiles="prod"), HealthRepository(name="b")),
    )
    assert "marker" not in f"{found!r}{found}{found.model_dump()}{found.model_dump_json()}"
    assert url_of(load(SETTINGS=str(file), PORT="9001")) == "http://[::1]:9001"
    assert load("--port", "9002", SETTINGS=str(file), PORT="9001").port == 9002
    assert load("memory:", "--settings", file).backend == ("memory:",)


def test_settings_reach_a_worker_as_they_are(load: Load, tmp_path: Path) -> None:
    file = toml(
        tmp_path / "server.toml",
        """\
backend = ["memory:", "postgresql://user:secret@host/db"]
token = "marker"
encrypt-key = "key"

[encrypt-keys]
2027 = "other"

[overrides]
number = 8

[health-repositories]
a = { profiles = "prod" }
""",
    )
    found = load("--settings", file, "--port", "9000", ALLOWED_HOSTS="a,b")
    sent = json.dumps(encode_settings(found))
    given = decode_settings(json.loads(sent))
    assert encode_settings(given) == encode_settings(found)
    assert (given.port, given.allowed_hosts, given.backend) == (9000, ("a", "b"), found.backend)
    assert (given.token, given.encrypt_keys) == (found.token, found.encrypt_keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "there is no setting prot; did you mean port?"),
        ("settings = 'x'", "there is no setting settings"),
        ("port = [1]", "server.toml': 'port': must be a number from 1 to 65535"),
        ("port = true", "'port': must be a number"),
        ("host = true", "'host': must be a text"),
        ("backend = [1]", "'backend': must be a list of texts"),
        ("token-file = 5", "'token-file' must be the name of a file"),
        ("password-file = {a = 'marker'}", "'password-file' must be the name of a file"),
        ("token-file = ''", "'token-file' must be the name of a file"),
        ("allowed-hosts = 1", "'allowed-hosts': must be a list of texts"),
        ("overrides = 1", "'overrides': must be a table"),
        ("encrypt-keys = 1", "'encrypt-keys': must be a table"),
        ("encrypt-rsa-algorithm = 'X'", "'encrypt-rsa-algorithm': must be one of DEFAULT, OAEP"),
        ("[overrides]\nday = 2001-12-14", "'overrides': 'day' holds a date"),
        ('token = "a\\u0000"', "control characters"),
        ("[overrides]\ntimeout = -1e400", "server.toml': a number is beyond 1.8e308"),
        ("port = x", "at line 1, column 8"),
        ("port = 99999999999999999999", "from 1 to 65535"),
        ("accept-empty = 'perhaps'", "'accept-empty': must be 'true' or 'false'"),
        (
            "max-staleness = 1e-9",
            "seconds from 0.000001 to 99999, written as 2 or 0.5, not '1e-09'",
        ),
    ],
)
def test_mistakes_in_the_file_are_named(load: Load, tmp_path: Path, text: str, said: str) -> None:
    file = toml(tmp_path / "server.toml", text)
    with pytest.raises(SettingsError) as caught:
        load("--settings", file)
    assert said in str(caught.value)


def test_a_file_of_another_editor_is_read(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b"\xef\xbb\xbfport = 9000\r\nworkers = 2\r\n")
    settings = load(str(tmp_path), "--settings", str(file))
    assert (settings.port, settings.workers) == (9000, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"overrides = " + b"[" * 20_000 + b"]" * 20_000, "is nested too deeply"),
        (b"#" * 1_048_577, "is larger than 1,048,576 bytes"),
        (b"port = \x00", "Invalid value"),
        (b'"a\\u001b[31m" = 1', r"there is no setting 'a\x1b[31m'"),
    ],
)
def test_a_file_that_no_server_needs_is_refused(
    load: Load, tmp_path: Path, data: bytes, said: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        load("memory:", "--settings", str(file))
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_missing_file_is_named(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read '.*none\.toml': No such file"):
        load("memory:", "--settings", str(tmp_path / "none.toml"))


def test_a_secret_that_everybody_may_read_is_refused(load: Load, tmp_path: Path) -> None:
    file = toml(tmp_path / "server.toml", 'token = "marker"', mode=0o644)
    with pytest.raises(SettingsError, match="chmod o=") as caught:
        load("memory:", "--settings", str(file))
    assert "marker" not in str(caught.value)
    assert load("memory:", "--settings", str(toml(file, "port = 1", mode=0o644))).port == 1


def test_overrides_may_come_from_the_environment(load: Load) -> None:
    found = load("memory:", OVERRIDES='{"a": {"b": 1}, "t": "\\\\${x}"}')
    assert found.overrides == {"a": {"b": 1}, "t": "\\${x}"}
    with pytest.raises(SettingsError, match="OVERRIDES: not a mapping"):
        load("memory:", OVERRIDES="[1]")


def test_several_stores_may_come_from_arguments_or_lines(load: Load, tmp_path: Path) -> None:
    found = load("memory:", tmp_path)
    assert found.backend == ("memory:", str(tmp_path))
    assert load(BACKEND=f"memory:\n{tmp_path}\n").backend == found.backend
