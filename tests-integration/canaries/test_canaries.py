"""Secrets everywhere a secret can be: none comes out where it does not belong."""

import http.client
import os
import pty
import ssl
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._settings.encryption import encryption_of, keys_of
from pyfly.config_cli._settings.loading import load_settings
from pyfly.config_client import ClientConfig, ConfigClient, SyncConfigClient
from pyfly.config_client.testing import FakeConfigServer
from pyfly.config_core import Environment, PropertySource
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    HttpResponse,
    Principal,
    ServerOptions,
    SharedCredential,
    WebhookSecret,
    open_backend,
)
from pyfly.config_server.storage import ConfigDocument, ConfigResource

pytestmark = pytest.mark.anyio

PREFIX = "PYFLY_CONFIG_SERVER_"


# --- a running server ---------------------------------------------------------------------


@pytest.mark.slow
def test_no_secret_comes_out_of_a_running_server(
    planted: Path,
    canaries: Any,
    settings: dict[str, str],
    start_server: Callable[..., Any],
    make_requests: Any,
    allowed: dict[str, frozenset[str]],
    access_file: Path,
    make_certificate: Callable[..., Any],
    tmp_path: Path,
) -> None:
    audit_log, own = tmp_path / "audit.log", make_certificate("own")
    further = {
        "AUDIT_LOG": str(audit_log),
        "AUDIT_READS": "true",
        "ACCESS_FILE": str(access_file),
        "TLS_CERTIFICATE_FILE": str(own.path),
        "TLS_KEY_FILE": str(own.key),
    }
    key_lines = own.key.read_text(encoding="ascii").splitlines()[1:-1]
    key_texts = {f"line {n} of the TLS key": line for n, line in enumerate(key_lines)}
    canaries = replace(canaries, texts=canaries.texts | key_texts)
    server = start_server(planted, secure=True, **settings, **further)
    hits: list[tuple[str, str, int, list[str]]] = []
    seen: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    shown: set[str] = set()
    trusted = ssl.create_default_context(cafile=own.path)
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=trusted)
    for one in make_requests():
        connection.request(one.method, one.target, body=one.body or None, headers=one.headers)
        answer = connection.getresponse()
        content = answer.read().decode(errors="replace")
        output = f"{answer.headers}\n{content}"
        may = allowed.get(one.endpoint.id, frozenset()) if answer.status < 300 else frozenset()
        found = canaries.found_in(output, allowed=may)
        if found:
            hits.append((one.method, one.target, answer.status, found))
        statuses[answer.status] += 1
        seen[one.endpoint.id] += answer.status < 300
        shown |= {*canaries.found_in(output)}
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {canaries['token']}"})
    metrics = connection.getresponse().read().decode()
    assert "pyfly_config" in metrics
    connection.close()
    log = server.output()
    count = sum(seen.values()), sum(statuses.values())
    print(  # noqa: T201 - the figures of the proof
        f"{count[1]:,} requests, {count[0]:,} answered with 2xx, statuses {dict(statuses)}"
    )
    assert not hits, hits[:5]
    assert not canaries.found_in(metrics)
    assert not canaries.found_in(log)
    audit = audit_log.read_text(encoding="ascii")
    assert not canaries.found_in(audit)
    assert all(f'"{name}"' in audit for name in ("ops", "robot"))  # both have signed in
    assert "pyfly.access: 127.0.0.1 GET '/config/" in log
    assert all(f'"{name}"' in audit for name in ("writeBundle", "decrypt", "signIn", "flattened"))
    # the test would be worth nothing if all requests failed, or no secret was recognised
    shows = {"environment", "flattened", "resourceAtDefaultLabel", "readBundle", "metrics"}
    assert shows <= {*+seen}
    assert {"password", "bound value", "encrypted value", "private key", "plain file"} <= shown
    assert "cannot be decrypted" in log


# --- the command --------------------------------------------------------------------------


@pytest.fixture
def command(settings: dict[str, str], canaries: Any) -> Callable[..., str]:
    """Return a function that runs the command and returns all that it prints."""
    program = str(Path(sys.executable).with_name("pyfly-config"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    environment = {
        **kept,
        **{PREFIX + name: text for name, text in settings.items()},
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": canaries["secret of a bucket"],
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments: object, given: str = "", terminal: bool = False) -> str:
        command = [program, *map(str, arguments)]
        if not terminal:
            done = subprocess.run(
                command,
                input=given.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=120,
                check=False,
            )
            return done.stdout.decode()
        reader, writer = pty.openpty()
        with subprocess.Popen(command, stdout=writer, stderr=writer, env=environment):
            os.close(writer)
            parts: list[bytes] = []
            try:
                while part := os.read(reader, 65_536):
                    parts.append(part)
            except OSError:  # Linux: the other side has closed the terminal
                pass
        os.close(reader)
        return b"".join(parts).decode()

    return run


@pytest.mark.slow
def test_no_secret_comes_out_of_the_command(
    planted: Path,
    canaries: Any,
    command: Callable[..., str],
    access_file: Path,
    tmp_path: Path,
) -> None:
    c, orders = canaries, (planted, "orders", "prod")
    other = tmp_path / "other"
    (other / "main").mkdir(parents=True)
    printed = {
        "list": command("list", planted),
        "broken": command("get", planted, "broken", "yaml"),
        "history": command("history", *orders),
        "put": command("put", *orders, c["broken body"]),
        "put a file": command(
            "put", planted, "new", "prod", "--file", "-", given=f"a: [{c['broken body']}"
        ),
        "decrypt": command("decrypt", f"{{cipher}}{c['text to decrypt']}"),
        "copy": command("copy", planted, other, "--verify"),
        "rekey": command("rekey", planted, "--from", "default", "--to", "2028", "--dry-run"),
        "rekey with a wrong key": command("rekey", planted, "--from", "k2", "--to", "2028"),
        "excess": command("encrypt", "x", c["text to encrypt"]),
        "option": command("list", planted, f"--token={c['wrong token']}"),
        "settings": command("settings", "table"),
        "access list": command("access", "list", "--file", access_file),
        "access list as JSON": command("access", "list", "--file", access_file, "--json"),
        "access check": command("access", "check", "--file", access_file),
        "access revoke": command("access", "revoke", "ops", "none", "--file", access_file),
        "terminal": command("list", planted, terminal=True),
    }
    assert "orders" in printed["list"]
    assert "robot" in printed["access list"]
    assert "left as it is" in printed["rekey"]
    hits = {name: found for name, text in printed.items() if (found := c.found_in(text))}
    assert not hits
    shown = command(
        *("diff", planted, "orders", "prod", "--to-application", "application"),
        *("--to-profile", "default"),
        terminal=True,
    )
    masked = ("password", "URL with password", "private key", "token", "named password")
    assert "******" in shown
    assert not [name for name in c.found_in(shown) if name in masked or name.startswith("cipher")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("password of a database", "postgresql://u:{}@127.0.0.1:1/d"),
        ("password of a repository", "git+http://u:{}@127.0.0.1:1/x.git"),
        ("secret of a bucket", "s3://bucket/x?endpoint_url=http://127.0.0.1:1&region=eu-west-1"),
        ("password in a store URL", "nothing://u:{}@127.0.0.1/x"),
        ("password in a store URL", "file://u:{}@h/x"),
        ("password in a store URL", "sqlite://u:{}@h/x?nothing=1"),
    ],
)
def test_no_secret_comes_out_of_a_store_that_is_away(
    canaries: Any, command: Callable[..., str], name: str, url: str
) -> None:
    for arguments in (("list",), ("serve", "--port", "1")):
        printed = command(arguments[0], url.format(canaries[name]), *arguments[1:])
        assert printed
        assert not canaries.found_in(printed)


# --- representations and errors -----------------------------------------------------------


@pytest.fixture
def objects(
    planted: Path,
    canaries: Any,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[dict[str, Any]]:
    """One of everything that holds a secret."""
    for name, text in settings.items():
        monkeypatch.setenv(PREFIX + name, text)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", canaries["secret of a bucket"])
    loaded = load_settings({"backend": [str(planted)]})
    encryption = encryption_of(loaded)
    options = ServerOptions(overrides={"over": canaries["override"]}, encryption=encryption)
    backend = FilesystemConfigBackend(planted)
    server = ConfigServer(backend, options=options)
    credential = SharedCredential.bearer(canaries["token"])
    properties: Any = {"a": canaries["plain value"]}
    source = PropertySource(name="x", source=properties, origins={"a": "x"})
    authorization = f"Bearer {canaries['token']}".encode()
    client: Any = {
        "server_url": f"http://u:{canaries['password of a repository']}@h",
        "application": "orders",
        "snapshot_key": canaries["key of bound values"],
        "decrypt_keys": {"2028": canaries["key of bound values"]},
    }
    with FakeConfigServer() as fake:
        fake.put("orders", "default", properties)
        fetched = SyncConfigClient(server_url="http://h", application="orders").fetch()
        yield {
            "settings": loaded,
            "keys": keys_of(loaded),
            "encryption": encryption,
            "ring": encryption.keys,
            "bound": encryption.bound,
            "options": options,
            "backend": backend,
            "server": server,
            "credential": credential,
            "basic": SharedCredential.basic(username="u", password=canaries["token"]),
            "secret": WebhookSecret(canaries["monitor secret"]),
            "controller": Controller(server, auth=credential),
            "app": ConfigServerApp(server, auth=credential),
            "principal": Principal(name="me"),
            "request": HttpRequest(
                method="PUT",
                raw_path=b"/x",
                query=f"token={canaries['token in a query']}".encode(),
                headers=[(b"authorization", authorization)],
            ),
            "response": HttpResponse(status=200, body=canaries["password"].encode()),
            "source": ConfigSource(application="a", profile="b", properties=properties),
            "document": ConfigDocument(properties=properties),
            "resource": ConfigResource(content=canaries["plain file"].encode()),
            "property source": source,
            "environment": Environment(name="a", profiles=("b",), property_sources=(source,)),
            "client configuration": ClientConfig(**client),
            "client": ConfigClient(**client),
            "properties": fetched,
            "git": open_backend(
                f"git+http://u:{canaries['password of a repository']}@127.0.0.1:1/x.git"
                f"?state={tmp_path}"
            ),
            "database": open_backend(
                f"postgresql://u:{canaries['password of a database']}@127.0.0.1:1/d"
            ),
            "bucket": open_backend("s3://bucket/x?region=eu-west-1"),
        }


async def test_no_representation_shows_a_secret(objects: dict[str, Any], canaries: Any) -> None:
    async with objects["server"]:
        objects["composition"] = await objects["server"].compose("orders", "prod")
        stored = await objects["backend"].fetch("orders", "prod")
        objects["stored"], objects["documents"] = stored, stored.documents
    hits = {
        name: found
        for name, one in objects.items()
        if (found := canaries.found_in(f"{one!r} {one!s} {[one]} {_members(one)}"))
    }
    assert not hits


def _members(value: object) -> str:
    """Return the representations of what an object of this project holds, one level deep."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    names = {*slots, *getattr(value, "__dict__", {})}
    held = (getattr(value, name, None) for name in names if not name.startswith("__"))
    return " ".join(repr(one) for one in held if type(one).__module__.startswith("pyfly."))


@pytest.mark.parametrize(
    "profile",
    ["yaml", "json", "properties", "twice", "alias", "tag", "condition"],
)
async def test_no_error_of_a_broken_file_shows_a_secret(
    objects: dict[str, Any], canaries: Any, profile: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(0):
        async with objects["server"] as server:
            with pytest.raises(Exception, match="broken-") as caught:
                await server.compose("broken", profile)
    text = "".join(traceback.format_exception(caught.value, chain=False))
    assert not canaries.found_in(f"{text} {caught.value!r} {vars(caught.value)}")
    assert not canaries.found_in(caplog.text)
