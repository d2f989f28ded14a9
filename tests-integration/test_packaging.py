"""The built distributions, each in an environment of its own, as a user installs them."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

OWN = Path(sys.executable)


@pytest.fixture(scope="module")
def with_client(install: Callable[..., Path]) -> Path:
    return install("pyfly-config-client")


@pytest.fixture(scope="module")
def with_server(install: Callable[..., Path]) -> Path:
    return install("pyfly-config-server")


@pytest.fixture(scope="module")
def with_core(install: Callable[..., Path]) -> Path:
    return install("pyfly-config-core")


TYPED_PROGRAM = """
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_type

from pydantic_settings import BaseSettings
from pyfly.config_client import (
    Change,
    ConfigClient,
    DataSize,
    Properties,
    SyncConfigClient,
    Watcher,
    apply_to_environ,
    config_lifespan,
)
from pyfly.config_client.settings import from_config_server
from pyfly.config_client.testing import FakeConfigServer


@dataclass
class Database:
    url: str
    pool_size: int = 5


class Settings(BaseSettings):
    settings_customise_sources = from_config_server(prefix="orders")

    max_items: int = 100


async def read() -> None:
    client = ConfigClient(server_url="http://config:8888", application="orders", profile="prod")
    properties = await client.fetch()
    assert_type(properties, Properties)
    assert_type(properties["db.url"], bool | int | float | str)
    assert_type(properties.get("db.url"), bool | int | float | str | None)
    assert_type(properties.get("db.pool-size", int), int)
    assert_type(properties.get("http.timeout", timedelta), timedelta)
    assert_type(properties.get("http.buffer", DataSize, default=None), DataSize | None)
    assert_type(properties.get("hosts", list[str]), list[str])
    assert_type(properties.bind("db", Database), Database)
    assert_type(properties.section("db"), Properties)
    assert_type(properties.merge_into({"a": {"b": 1}}), Properties)
    apply_to_environ(properties)
    async for change in client.watch():
        assert_type(change, Change)
        assert_type(change.added, frozenset[str])


def read_without_a_loop(on_change: Callable[[Change], Awaitable[object]]) -> Watcher:
    client = SyncConfigClient.from_env()
    assert_type(client, SyncConfigClient)
    config_lifespan(ConfigClient.from_env(), on_change=on_change)
    return client.watch()


def test_program(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"a": {"b": [1, "x", None]}})
    with config_server.override({"a": 1}), config_server.fault("down"):
        assert_type(config_server.client("orders").fetch(), Properties)
"""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYFLY_", "PYTHON"))}
    environment["PYFLY_CONFIG_SNAPSHOT_DIR"] = "off"
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env=environment,
    )


def python(interpreter: Path, code: str) -> subprocess.CompletedProcess[str]:
    return run(interpreter, "-c", code)


def test_the_client_brings_core_yaml_and_what_httpx_needs(
    with_client: Path, make_environment: Callable[..., Path], uv: Callable[..., str]
) -> None:
    def installed(interpreter: Path) -> set[str]:
        rows = json.loads(uv("pip", "list", "--format", "json", "--python", interpreter))
        return {row["name"].lower() for row in rows}

    foreign = installed(make_environment("httpx>=0.28,<1", "PyYAML"))
    assert {"httpx", "pyyaml"} <= foreign
    assert installed(with_client) == foreign | {"pyfly-config-client", "pyfly-config-core"}


def test_core_brings_yaml_only(with_core: Path, uv: Callable[..., str]) -> None:
    listed = uv("pip", "list", "--format", "json", "--python", with_core)
    assert {row["name"].lower() for row in json.loads(listed)} == {"pyfly-config-core", "pyyaml"}


def test_the_server_alone_serves_files_to_a_client_alone(
    with_server: Path,
    with_client: Path,
    checkout: Path,
    start_server: Callable[..., Any],
) -> None:
    store = (checkout / "docs" / "examples" / "config").as_uri()
    server = start_server(store, python=with_server)
    assert "bundles       16" in server.output()
    done = python(
        with_client,
        "import json; from pyfly.config_client import SyncConfigClient;"
        f"client = SyncConfigClient(server_url='{server.url}', application='orders', "
        "profile='prod,eu');"
        "print(json.dumps(dict(client.fetch())))",
    )
    properties = json.loads(done.stdout)
    assert properties["db.url"] == "postgres://db.internal.example/orders"
    assert properties["database.host"] == "db.eu.internal.example"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("git+https://host/config.git", "pip install 'pyfly-config-git'"),
        ("s3://bucket/config", "pip install 'pyfly-config-s3'"),
        ("sqlite:///config.db", "pip install 'pyfly-config-sql'"),
    ],
)
def test_a_known_but_missing_backend_gives_the_install_command(
    with_server: Path, url: str, command: str
) -> None:
    done = run(with_server.with_name("pyfly-config"), "serve", url)
    assert done.returncode == 2
    assert command in done.stderr
    assert "Traceback" not in done.stderr


def test_without_encryption_it_is_said_what_to_install(
    with_server: Path, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    command = "pip install 'pyfly-config-core[encryption]'"
    (tmp_path / "main").mkdir()
    secret = tmp_path / "main" / "orders-default.yaml"
    secret.write_text("pw: '{cipher}00'\n", encoding="utf-8")
    server = start_server(tmp_path, python=with_server)
    request = b"GET /config/orders/default HTTP/1.0\r\nHost: localhost\r\n\r\n"
    answer = server.exchange(request)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert command.encode() in answer
    with pytest.raises(RuntimeError, match=re.escape(command)):
        start_server(tmp_path, python=with_server, ENCRYPT_KEY="foo")


def test_without_the_library_for_metrics_it_is_said_what_to_install(
    with_server: Path, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    (tmp_path / "main").mkdir()
    command = "pip install 'pyfly-config-core[metrics]'"
    for settings in ({"METRICS": "true"}, {"METRICS_LISTEN": "127.0.0.1:9100"}):
        with pytest.raises(RuntimeError, match=re.escape(command)):
            start_server(tmp_path, python=with_server, **settings)


def test_encryption_is_an_extra(install: Callable[..., Path]) -> None:
    interpreter = install("pyfly-config-core[encryption]")
    done = python(
        interpreter,
        "from pyfly.config_server import EncryptionKeys, open_keys;"
        "keys = open_keys(EncryptionKeys(default='foo'));"
        "print(keys.decrypt(keys.encrypt('secret')))",
    )
    assert done.stdout == "secret\n", done.stderr


HINTS = (
    "from pyfly.config_server import FilesystemConfigBackend as B;"
    "from pyfly.config_server.storage import SupportsChangeHints, ability;"
    "print(ability(B('.'), SupportsChangeHints))"
)


def test_hints_are_an_extra_that_the_server_brings(
    install: Callable[..., Path], with_server: Path
) -> None:
    assert python(install("pyfly-config-core"), HINTS).stdout == "None\n"
    assert python(with_server, HINTS).stdout == "FilesystemConfigBackend('.')\n"


@pytest.fixture(scope="module")
def with_sql(install: Callable[..., Path]) -> Path:
    return install("pyfly-config-server[sql]")


def test_the_extra_sql_of_the_server_serves_a_file_that_does_not_exist_yet(
    with_sql: Path, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/config.db"
    server = start_server(url, python=with_sql)
    assert "bundles       0" in server.output()
    done = run(with_sql.with_name("pyfly-config"), "put", url, "orders", "prod", "port=9000")
    assert done.stdout == "orders/prod/main: stored, now at version 1\n"
    with urllib.request.urlopen(f"{server.url}/config/orders/prod", timeout=30) as answer:
        document = json.load(answer)
    assert document["version"] == "1"
    assert document["propertySources"] == [{"name": "main/orders-prod", "source": {"port": 9000}}]
    assert server.stop() == 0


def test_three_extras_of_the_server_open_their_stores(install: Callable[..., Path]) -> None:
    done = python(
        install("pyfly-config-server[git,s3,sql]"),
        "from pyfly.config_server import open_backend\n"
        "urls = ('git+file:///r.git', 's3://bucket/team?region=eu-central-1', 'sqlite:///c.db')\n"
        "for url in urls:\n"
        "    print(type(open_backend(url)).__name__)",
    )
    assert done.stdout == "GitConfigBackend\nS3ConfigBackend\nSqlConfigBackend\n", done.stderr


def test_the_adapter_alone_serves_in_an_application_without_the_command(
    install: Callable[..., Path],
) -> None:
    interpreter = install("pyfly-config-litestar[git,s3,sql]")
    done = python(
        interpreter,
        "from importlib.util import find_spec\n"
        "from pyfly.config_litestar import create_app\n"
        "from pyfly.config_server import ConfigServer, InMemoryConfigBackend, open_backend\n"
        "create_app(ConfigServer(InMemoryConfigBackend()), auth=None)\n"
        "print(type(open_backend('sqlite:///config.db')).__name__)\n"
        "print([find_spec(name) for name in ('uvicorn', 'pyfly.config_cli')])",
    )
    assert done.stdout == "SqlConfigBackend\n[None, None]\n", done.stderr
    assert not interpreter.with_name("pyfly-config").exists()


def test_a_missing_database_driver_gives_the_install_command(with_sql: Path) -> None:
    command = with_sql.with_name("pyfly-config")
    for scheme, extra in (("postgresql", "postgres"), ("mariadb", "mysql")):
        done = run(command, "serve", f"{scheme}://user:hunter2@db.example/config")
        assert done.returncode == 2
        assert f"pip install 'pyfly-config-sql[{extra}]'" in done.stderr
        assert "hunter2" not in done.stderr


def test_the_extra_sql_of_core_works_without_a_server(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    done = python(
        install("pyfly-config-core[sql]"),
        "import asyncio; from pyfly.config_server import ConfigServer, open_backend\n"
        "async def main():\n"
        f"    server = ConfigServer(open_backend('sqlite:///{tmp_path}/config.db'))\n"
        "    await server.save('orders', 'prod', {'port': 9000})\n"
        "    print((await server.fetch('orders', 'prod'))['version'])\n"
        "    await server.aclose()\n"
        "asyncio.run(main())",
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_client_is_offered_under_the_server_when_it_is_installed(
    with_client: Path, with_core: Path
) -> None:
    done = python(
        with_client,
        "from pyfly import config_client, config_server;"
        "print(config_server.ConfigClient is config_client.ConfigClient)",
    )
    assert done.stdout == "True\n"
    done = python(with_core, "from pyfly.config_server import ConfigClient")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: ConfigClient comes with another distribution: pip install pyfly-config-client"
    )


def test_the_wheels_are_typed(with_client: Path) -> None:
    done = python(
        with_client,
        "import pyfly.config_client as c, pyfly.config_core as k, pyfly.config_server as s;"
        "from pathlib import Path;"
        "print([Path(m.__file__).with_name('py.typed').exists() for m in (c, k, s)])",
    )
    assert done.stdout == "[True, True, True]\n"


def test_two_type_checkers_accept_a_program_against_the_wheels(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    interpreter = install("pyfly-config-client", "pydantic-settings>=2.6")
    program = tmp_path / "program.py"
    program.write_text(TYPED_PROGRAM, encoding="utf-8")
    done = run(OWN.with_name("mypy"), "--strict", "--python-executable", interpreter, program)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    done = run(OWN.with_name("pyright"), "--pythonpath", interpreter, "-p", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_client_alone_has_its_command(with_client: Path) -> None:
    done = run(with_client.with_name("pyfly-config-client"), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "PYFLY_CONFIG_URL" in done.stdout


def test_what_needs_an_extra_says_so(with_client: Path) -> None:
    done = python(with_client, "import pyfly.config_client.settings")
    assert "pip install 'pyfly-config-client[settings]'" in done.stderr
    key = "A" * 43 + "="
    done = python(
        with_client,
        "from pyfly.config_client import ConfigClient;"
        f"ConfigClient(server_url='http://a', application='a', snapshot_key='{key}')",
    )
    assert "pip install 'pyfly-config-client[encryption]'" in done.stderr
