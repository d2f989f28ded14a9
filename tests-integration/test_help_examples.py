"""Every example of every `--help` of `pyfly-config` does what its command promises."""

import asyncio
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pyfly.config_cli import main
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))
SECONDS = 60
IN_A_SHELL = re.compile(r"serve (?!.*--check)|compare |completion|(settings|access) schema")
"""Examples that are run by a shell, that serve, or that need a server."""
SET = re.compile(r"([A-Z_]+)=(.*)")

EXAMPLES = {
    "serve ./config": "",
    'serve file:///etc/pyfly --port 9000 --base-path ""': "",
    "serve ./config --settings server.toml --check": "can be read",
    "PYFLY_CONFIG_SERVER_TOKEN=... serve ./config --host 0.0.0.0": "",
    "list ./config": "main         orders       prod",
    "list ./config --application orders --json": '"label": "release-1.4"',
    "get ./config orders prod": "debug: true",
    "get ./config orders prod --label release-1.4": "port: 1",
    "history sqlite:///config.db orders prod": "VERSION",
    "history sqlite:///config.db orders prod --limit 500 --json": '"versions": [',
    "put ./config orders prod --file orders.yaml": "orders/prod/main: stored",
    "put ./config orders prod --file - --format json --expect any < orders.json": "stored",
    "put ./config orders prod server.port=9000 'hosts[0]=db1' --remove debug": "stored",
    "put sqlite:///config.db orders prod number=3 --message 'more of them'": "version 3",
    "edit ./config orders prod": "orders/prod/main: stored",
    "delete ./config orders prod --expect any": "orders/prod/main: removed",
    "rollback sqlite:///config.db orders prod 41": "rolled back to 1, now at version 3",
    "freeze ./config --reason 'release 1.4' --until 2h": ": */*/* is frozen until 20",
    "freeze ./config --label main --reason 'the auditors are here'": ": */*/main is frozen until",
    "freeze sqlite:///config.db --on 'orders/*/*' --reason 'incident 4711'": ": orders/*/* is fro",
    "unfreeze ./config k3vq7a": "removed: k3vq7a",
    "unfreeze ./config --ended": "removed: nothing",
    "freezes ./config": "k3vq7a  in force  other/*/*",
    "freezes ./config --json": '"id": "k3vq7a"',
    "diff ./config orders dev --to-profile prod": "+ debug: true",
    "diff ./config orders prod --to-label release-1.4": "+ server.port: 1",
    "diff ./config orders prod --to-store file:///etc/pyfly --exit-code": "- debug: true",
    "diff sqlite:///config.db orders prod --version 41": "+ number: 2",
    "copy ./config file:///etc/pyfly --dry-run": "created  main         orders       dev",
    "copy ./config ./new --label main --verify": "2 created, 0 updated",
    "compare https://config.example.com/config ./config": "5 documents compared, 0 differ",
    "compare http://localhost:8888 ./config --applications orders --json": '"different": 0',
    "encrypt --settings server.toml": "{cipher}AQ",
    "encrypt --key-name 2027 < password.txt": "{cipher}{key:2027}",
    "encrypt --application orders --key db.password --settings server.toml": "{cipher}v1:2028:",
    "rekey ./config --from default --to 2028 --settings server.toml --dry-run": "0 values",
    "rekey ./config --from default --to 2028 --settings server.toml": "encrypted with '2028'",
    "decrypt '{cipher}AQB3...' --settings server.toml": "secret",
    "key --settings server.toml": "ssh-rsa AAAA",
    "new-backend etcd": "Made pyfly-config-etcd: pyfly-config-etcd, imported as",
    "new-backend etcd ~/src/pyfly-config-etcd": "cd src/pyfly-config-etcd",
    "settings show ./config --port 9000": "9000",
    "settings show --settings server.toml --json": '"encrypt-key": {',
    "settings schema > settings.schema.json": "",
    "settings table": "| `--port` | `PYFLY_CONFIG_SERVER_PORT` | `port` | `8888` |",
    'eval "$(completion bash)"': "",
    'eval "$(completion zsh)"': "",
    "completion fish > ~/.config/fish/completions/pyfly-config.fish": "",
    "access add billing --file access.toml --rule 'read billing/*/*'": "pfct_",
    "access add ci --file access.toml --rule 'inspect,write */*/*' --expires 90d": "pfct_",
    "access add web --rule 'files */*/main web/**' --settings server.toml": "pfct_",
    "access rotate orders --file access.toml": "pfct_",
    "access rotate orders --grace 1h --expires 90d --settings server.toml": "pfct_",
    "access revoke orders k3vq7a --file access.toml": "revoked of orders: k3vq7a",
    "access revoke orders --all --settings server.toml": "revoked of orders: k3vq7a",
    "access deactivate orders --file access.toml": "orders is not active",
    "access activate orders --file access.toml": "orders was active",
    "access list --file access.toml": "k3vq7a           never    read on orders/*/*",
    "access list --settings server.toml --json": '"state": "active"',
    "access check --file access.toml": "1 principals, 1 tokens",
    "access check orders read orders/prod/main --file access.toml": "allowed: the rule",
    "access check orders files main/orders/nginx.conf --settings server.toml": "denied: no rule",
    "access schema > access.schema.json": "",
    "db upgrade postgresql://pyfly@db.example/config": "upgraded to schema",
}
"""What each prints, among other things; a server prints its store."""

FREEZE = {
    "id": "k3vq7a",
    "on": "other/*/*",
    "reason": "release 1.4",
    "at": "2026-11-27T19:00:00Z",
}
EXIT_CODES = {
    "diff ./config orders prod --to-store file:///etc/pyfly --exit-code": 3,
    "copy ./config file:///etc/pyfly --dry-run": 3,  # one bundle differs
    "access check orders files main/orders/nginx.conf --settings server.toml": 3,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with everything that the examples speak of."""
    path = tmp_path_factory.mktemp("template")
    texts = {
        "config/main/orders-prod.yaml": "debug: true\nserver: {port: 8080}\nhosts: [db0]\n",
        "config/main/orders-dev.yaml": "server: {port: 8080}\n",
        "config/.pyfly-config-freezes.json": json.dumps({"freezes": [FREEZE]}),
        "config/release-1.4/orders-prod.yaml": "server: {port: 1}\n",
        "elsewhere/main/orders-prod.yaml": "server: {port: 2}\n",
        "new/main/empty.txt": "",
        "orders.yaml": "server: {port: 1}\n",
        "orders.json": '{"server": {"port": 1}}\n',
        "password.txt": "secret\n",
        "server.toml": (
            'encrypt-key-file = "server.pem"\naccess-file = "access.toml"\n'
            '[encrypt-keys]\n2027 = "another"\n'
            f'[encrypt-bound-keys]\n2028 = "{"A" * 43}"\n'
        ),
        "access.toml": (
            f'[principals.orders]\ntokens = [{{ id = "k3vq7a", sha256 = "{"0" * 64}" }}]\n'
            'rules = [{ rights = ["read"], on = "orders/*/*" }]\n'
        ),
    }
    for name, text in texts.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (path / "server.toml").chmod(0o600)
    key = generate_private_key(65_537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (path / "server.pem").write_bytes(pem)
    asyncio.run(_fill(f"sqlite:///{path}/config.db"))
    return path


async def _fill(url: str) -> None:
    backend = SqlConfigBackend.from_url(url)
    for number in (1, 2):
        properties = {"number": number}
        await backend.save(
            ConfigSource(application="orders", profile="prod", properties=properties)
        )
    await backend.aclose()


@pytest.fixture
def place(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current directory."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISUAL", "sh -c 'echo edited: true >> \"$0\"'")
    for name in [name for name in os.environ if name.startswith("PYFLY_CONFIG_")]:
        monkeypatch.delenv(name)
    return tmp_path


def helped(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


def commands(text: str) -> list[str]:
    """Return the names of the commands in the help of a group."""
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  ([\w-]+) ", listed, re.MULTILINE)


def test_every_example_of_every_help_is_in_this_test(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ("access", "db", "settings")
    names = commands(helped(capsys))
    assert {"serve", "list", "copy", *groups} <= {*names}
    names += [f"{group} {name}" for group in groups for name in commands(helped(capsys, group))]
    found: list[str] = []
    for name in names:
        _, _, rest = helped(capsys, *name.split()).partition("Examples:\n")
        lines = [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
        if name in groups:
            continue
        assert lines, f"{name} has no example"
        assert all("pyfly-config " in line for line in lines)
        found += [line.replace("pyfly-config ", "", 1) for line in lines]
    assert sorted(found) == sorted(EXAMPLES)


def _filled_in(example: str, place: Path, cipher: str = "") -> str:
    """Return an example with what it leaves open, and with names of this machine."""
    for written, meant in (
        ("file:///etc/pyfly", f"file://{place}/elsewhere"),
        ("postgresql://pyfly@db.example/config", "sqlite:///new.db"),
        ("{cipher}AQB3...", cipher),
        ("prod 41", "prod 1"),
        ("~/src/", "src/"),
        ("--version 41", "--version 1"),
    ):
        example = example.replace(written, meant)
    return example


@pytest.mark.parametrize("example", [name for name in EXAMPLES if not IN_A_SHELL.search(name)])
def test_an_example_does_what_it_says(
    example: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cipher = ""
    if "{cipher}" in example:
        assert main(["encrypt", "secret", "--settings", "server.toml"]) == 0
        cipher = capsys.readouterr().out.strip()
    if "--settings" not in example:
        monkeypatch.setenv("PYFLY_CONFIG_SERVER_SETTINGS", "server.toml")
    if "--file orders.yaml" in example:  # it creates
        (place / "config/main/orders-prod.yaml").unlink()
    line, _, given = _filled_in(example, place, cipher).partition(" < ")
    data = Path(given).read_bytes() if given else b"from a pipe\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    assert main(shlex.split(line)) == EXIT_CODES.get(example, 0), capsys.readouterr().err
    assert EXAMPLES[example] in capsys.readouterr().out


@pytest.mark.parametrize(
    "example", [name for name in EXAMPLES if re.search(r"serve (?!.*--check)", name)]
)
def test_an_example_serves(example: str, place: Path, free_port: Callable[[], int]) -> None:
    port = str(free_port())
    words = shlex.split(_filled_in(example, place).replace("9000", port))
    environ = dict(os.environ) | {"PYFLY_CONFIG_SERVER_PORT": port}
    while found := SET.fullmatch(words[0]):
        environ[found[1]] = found[2]
        del words[0]
    with subprocess.Popen([COMMAND, *words], env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                        assert answer.status == 200
                        break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_an_example_compares(
    place: Path, start_server: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    url = start_server(place / "config").url
    for example in [name for name in EXAMPLES if name.startswith("compare ")]:
        line = example.replace("https://config.example.com", url)
        line = line.replace("http://localhost:8888", f"{url}/config")
        assert main(shlex.split(line)) == 0, capsys.readouterr().err
        assert EXAMPLES[example] in capsys.readouterr().out


@pytest.mark.parametrize(("name", "file"), [("settings", "server"), ("access", "access")])
def test_an_example_writes_a_schema_that_the_files_of_the_examples_fit(
    name: str, file: str, place: Path
) -> None:
    line = f"{name} schema > {name}.schema.json"
    assert line in EXAMPLES
    subprocess.run(["sh", "-c", f"{COMMAND} {line}"], check=True)
    schema = json.loads((place / f"{name}.schema.json").read_text(encoding="utf-8"))
    document = tomllib.loads((place / f"{file}.toml").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"prot": 1}, schema)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_an_example_completes_in_a_shell(shell: str, place: Path) -> None:
    (example,) = [name for name in EXAMPLES if f"completion {shell}" in name]
    if shutil.which(shell) is None:
        script = subprocess.run(
            [COMMAND, "completion", shell], check=True, capture_output=True, encoding="utf-8"
        ).stdout
        assert f"{shell}_complete" in script
        return
    (place / ".config/fish/completions").mkdir(parents=True)
    line = example.replace("completion", f"{COMMAND} completion")
    shown = "complete -p pyfly-config" if shell == "bash" else "true"
    done = subprocess.run(
        [shell, "-c", f"{line}\n{shown}"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"HOME": str(place)},
    )
    assert done.stderr == ""
    assert shell != "bash" or "pyfly_config_completion" in done.stdout
