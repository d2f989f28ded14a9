"""Secrets are masked where a person reads values, and nowhere else."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._console.masking import MASK, masked, secret_names
from pyfly.config_cli._errors import ArgumentError

NAMES = secret_names()


@pytest.mark.parametrize(
    "key",
    [
        *("password", "db.password", "DB_PASSWORD", "db.passWord", "spring.datasource.password"),
        *("passwords[0]", "users[3].password", "api-key", "ssh.private_key", "jwt.token"),
        *("client-secret", "tokens.0", "m[API_KEY]", "aws.credentials.id", "credentials"),
        *("VCAP_SERVICES", "vcap.services.db.url", "sun.java.command", "SPRING_APPLICATION_JSON"),
        *("db.pwd", "key.pass-phrase", "line\nbreak.password", "db.pass", "DB_PW"),
        *("passwords.alice", "app.secrets.db.main", "tokens[0].value"),
    ],
)
def test_values_of_secret_keys_are_masked(key: str) -> None:
    for value in ("x", 1, 0, False, 1.5, "******x"):
        assert masked(key, value, NAMES) == MASK


@pytest.mark.parametrize(
    "key", ["server.port", "passwords-policy", "tokenizer", "keyboard.layout", "secretary", "a[0]"]
)
def test_values_of_other_keys_are_shown(key: str) -> None:
    for value in ("x", 1, True, None, "", "http://h:80/a", "ssh://git@host/x", "a@b", "{ciphe"):
        assert masked(key, value, NAMES) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://u:pw@h/x", f"http://u:{MASK}@h/x"),
        ("a http://u:p@w:/@h b", f"a http://u:{MASK}@h b"),
        ("postgresql+psycopg://u:pw@h:5432/d", f"postgresql+psycopg://u:{MASK}@h:5432/d"),
        ("redis://:pw@h", f"redis://:{MASK}@h"),
        ("https://ghp_abc@github.com/x.git", f"https://{MASK}@github.com/x.git"),
        ("http://u:a@h1,http://u:b@h2", f"http://u:{MASK}@h2"),
        ("jdbc:mysql://h/d?user=u&password=pw&x=1", f"jdbc:mysql://h/d?user=u&password={MASK}&x=1"),
        ("http://h/?api_key=k#x", f"http://h/?api_key={MASK}"),
        ("host=h password='a b' user=x", f"host=h password={MASK} user=x"),
        ("Password=pw;Server=h", f"Password={MASK};Server=h"),
        ("user: x\npassword: pw\n", f"user: x\npassword: {MASK}\n"),
        ('{"a": 1, "password": "p\\"w", "b": 2}', f'{{"a": 1, "password": {MASK}, "b": 2}}'),
        ("https://h/c?sv=1&sig=pw", f"https://h/c?sv=1&sig={MASK}"),
        ("jdbc:oracle:thin:u/pw@//h:1521/d", f"jdbc:oracle:thin:u/{MASK}@//h:1521/d"),
        ("Authorization: Bearer abcdefgh", f"Authorization: Bearer {MASK}"),
        ("monkeys: many, key:8080", "monkeys: many, key:8080"),
        ("{cipher}v1:k:AAAA", MASK),
        ("{cipher}", MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA", MASK),
    ],
)
def test_secrets_in_values_of_any_key_are_masked(value: str, shown: str) -> None:
    assert masked("server.url", value, NAMES) == shown


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a", "key", "key ", "http://", "http://u:", "jdbc:oracle:a:/"])
def test_long_values_take_time_in_proportion(piece: str) -> None:
    value = piece * 50_000  # an hour if every position were a new begin
    assert masked("a", value, NAMES) == value
    assert masked("a", f"{value} token=b", NAMES) == f"{value} token={MASK}"


def test_names_of_secrets_can_be_added() -> None:
    names = secret_names(" pin , iban-number,card[.].*")
    for key in ("user.PIN", "a.pins[0]", "ibanNumber", "x.IBAN_NUMBER", "card.owner", "password"):
        assert names.has(key), key
    for key in ("cards.owner", "pint", "iban"):
        assert not names.has(key), key
    with pytest.raises(ArgumentError, match="PYFLY_CONFIG_SERVER_SECRET_KEYS: a regular expr"):
        secret_names("a(")


def run(*arguments: str, terminal: bool, **environ: str) -> str:
    """Run the command with standard output as a terminal, or as a pipe."""
    program = Path(sys.executable).with_name("pyfly-config")
    command = [str(program), *arguments]
    environment = {**os.environ, "NO_COLOR": "1", **environ}
    if not terminal:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
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
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for profile, secret in (("dev", "one"), ("prod", "two")):
        file = tmp_path / "main" / f"orders-{profile}.yaml"
        file.parent.mkdir(exist_ok=True)
        url = f"http://u:marker-{secret}@h-{secret}"
        properties: Any = {"db": {"password": f"marker-{secret}"}, "url": url, "user-pin": secret}
        file.write_text(json.dumps(properties), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_differences_are_masked_on_a_terminal_only(config: Path) -> None:
    diff = ("diff", str(config), "orders", "dev", "--to-profile", "prod")
    shown = run(*diff, terminal=True)
    assert f'- db.password: "{MASK}"\n+ db.password: "{MASK}"\n' in shown
    assert f'+ url: "http://u:{MASK}@h-two"' in shown
    assert '- user-pin: "one"' in shown
    assert "--show-secrets shows them" in shown
    assert "marker" not in shown
    further = run(*diff, terminal=True, PYFLY_CONFIG_SERVER_SECRET_KEYS="pin")
    assert f'- user-pin: "{MASK}"' in further
    for open_ in (
        run(*diff, "--show-secrets", terminal=True),
        run(*diff, terminal=False),
        run(*diff, "--json", terminal=True),
        run("get", str(config), "orders", "prod", terminal=True),
    ):
        assert "marker-two" in open_
        assert MASK not in open_
