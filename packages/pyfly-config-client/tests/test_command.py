"""The command in this process; `run` and signals in one of its own."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import Properties, SyncConfigClient
from pyfly.config_client._command import main

COMMAND = Path(sys.executable).with_name("pyfly-config-client")


@pytest.fixture(autouse=True)
def environment(
    server: Any, document: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name a server that answers, in variables."""
    for name in [name for name in os.environ if name.startswith("PYFLY_CONFIG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYFLY_CONFIG_URL", server.url)
    monkeypatch.setenv("PYFLY_CONFIG_APPLICATION", "orders")
    monkeypatch.setenv("PYFLY_CONFIG_PROFILE", "prod")
    monkeypatch.setenv("PYFLY_CONFIG_ATTEMPTS", "1")
    monkeypatch.setenv("PYFLY_CONFIG_TIMEOUT", "60")
    monkeypatch.setenv("PYFLY_CONFIG_SNAPSHOT_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DB_URL", raising=False)
    server.answer_json(document)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*argv: str) -> tuple[int, str, str]:
        try:
            code = main([*argv])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_get_prints_all_one_or_a_section(run: Any) -> None:
    assert run("get") == (0, "db.url=marker-value\nhosts[0]=c\n", "")
    assert run("get", "DB_URL") == (0, "marker-value\n", "")
    assert run("get", "db", "--json") == (0, '{\n  "url": "marker-value"\n}\n', "")
    assert run("get", "db.url", "--json") == (0, '"marker-value"\n', "")
    assert json.loads(run("get", "--json")[1]) == {"db.url": "marker-value", "hosts[0]": "c"}


def test_what_follows_an_unknown_option_is_not_shown(run: Any) -> None:
    for argv in (
        ("get", "--token", "marker", "-marker"),
        ("get", "--token=marker"),
        ("run", "--token", "marker", "--", "true"),
        ("get", "--server-url", "http://ann:marker@host"),
        ("doctor", "password=marker"),
    ):
        code, out, err = run(*argv)
        assert (code, out, "marker" in err) == (2, "", False), err
    assert "set PYFLY_CONFIG_TOKEN in the environment" in run("get", "--token", "x")[2]


def test_get_prints_a_list_one_element_in_a_line(run: Any, server: Any, document: Any) -> None:
    document["propertySources"][0]["source"] = {
        "pay-methods[0]": "card",
        "pay-methods[1]": True,
        "dbs[0].url": "u",
        "dbs[1].url": "v",
        "one": "a,b",
        "broken[0]": "${broken[0]}",
        "broken[1]": "fine",
    }
    server.answer_json(document)
    assert run("get", "payMethods") == (0, "card\ntrue\n", "")
    assert run("get", "PAY_METHODS", "--json") == (0, '[\n  "card",\n  true\n]\n', "")
    assert run("get", "hosts") == (0, "a\nb\n", "")
    assert run("get", "dbs") == (0, "[0].url=u\n[1].url=v\n", "")
    assert json.loads(run("get", "dbs", "--json")[1]) == [{"url": "u"}, {"url": "v"}]
    assert run("get", "dbs[1]") == (0, "url=v\n", "")
    assert run("get", "one") == (0, "a,b\n", "")
    code, out, err = run("get", "broken")
    assert (code, out) == (0, "[1]=fine\n")
    assert err.startswith(
        "pyfly-config-client: left out: the property 'broken[0]' cannot be resolved"
    )


def test_what_cannot_be_resolved_fails_only_who_asks_for_it(
    run: Any, server: Any, document: Any
) -> None:
    document["propertySources"][0]["source"]["user"] = "${user}"
    server.answer_json(document)
    assert run("get", "db.url") == (0, "marker-value\n", "")
    code, out, err = run("get")
    assert (code, out) == (0, "db.url=marker-value\nhosts[0]=c\n")
    assert "left out: the property 'user' cannot be resolved" in err
    code, out, err = run("get", "user")
    assert (code, out, "'user' cannot be resolved" in err) == (1, "", True)
    code, out, err = run("env")
    assert (code, out) == (0, "export DB_URL=marker-value\nexport HOSTS_0=c\n")
    assert len(server.requests) == 4


def test_get_explains_every_key_of_a_section_and_of_a_list(
    run: Any, server: Any, document: Any
) -> None:
    document["propertySources"][1]["source"] |= {"db.poolSize": 1, "DB.url": 2}
    server.answer_json(document)
    assert run("get", "db", "--explain") == (
        0,
        "db.poolSize comes from main/application-default.yaml\n"
        "db.url comes from main/orders-prod.yaml\n"
        "  instead of 'DB.url' in main/application-default.yaml\n",
        "",
    )
    code, out, err = run("get", "hosts", "--explain")
    assert (code, err, out.splitlines()[0]) == (0, "", "hosts[0] comes from main/orders-prod.yaml")
    code, out, err = run("get", "db", "--explain", "--json")
    rows = json.loads(out)
    assert list(rows) == ["db.poolSize", "db.url"]
    assert rows["db.url"]["winner"]["source"] == "main/orders-prod.yaml"
    assert [one["key"] for one in rows["db.url"]["losers"]] == ["DB.url"]
    assert "marker" not in out
    assert run("get", "nothing", "--explain")[0] == 3


def test_get_explains_without_the_value(run: Any) -> None:
    assert run("get", "db.url", "--explain") == (0, "db.url comes from main/orders-prod.yaml\n", "")
    code, out, err = run("get", "--explain")
    assert (code, out, "needs a KEY" in err) == (2, "", True)


def test_a_key_that_is_not_there_has_an_exit_code_of_its_own(run: Any) -> None:
    code, out, err = run("get", "db.urk")
    assert (code, out) == (3, "")
    assert err == "pyfly-config-client: there is no property 'db.urk'; did you mean 'db.url'?\n"


def test_the_document_is_a_baseline(run: Any, server: Any, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run("get", "--document")[1], encoding="utf-8")
    server.stop()
    found = ("--baseline", str(baseline), "--snapshot-dir", "off", "--policy", "offline")
    assert run("get", "db.url", *found) == (0, "marker-value\n", "")


def test_env_quotes_and_leaves_out_what_is_set(
    run: Any, server: Any, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"a.b": "it's $HOME\nand more", "on": True, "set": 1, "1st": 2}
    server.answer_json(document | {"propertySources": [{"name": "x", "source": source}]})
    monkeypatch.setenv("SET", "already")
    code, out, err = run("env")
    assert code == 0
    assert "left out 1ST" in err
    script = f'{out}printf %s "$A_B|$ON|$SET"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert shell.stdout == "it's $HOME\nand more|true|already"
    assert json.loads(run("env", "--json", "--prefix", "X_")[1])["X_SET"] == "1"


def test_a_server_that_is_down_is_covered_or_an_error(run: Any, server: Any) -> None:
    run("get")
    server.stop()
    code, out, err = run("get", "db.url", "--verbose")
    assert (code, out) == (0, "marker-value\n")
    assert "marker-value" not in err
    code, out, err = run("get", "db.url", "--policy", "require_server")
    assert (code, out, "connection refused by 127.0.0.1" in err) == (1, "", True)


@pytest.mark.parametrize(
    ("variables", "argv", "said"),
    [
        ({"PYFLY_CONFIG_URL": ""}, ["get"], "set PYFLY_CONFIG_URL"),
        ({"PYFLY_CONFIG_TIMEOUT": "soon"}, ["get"], "PYFLY_CONFIG_TIMEOUT must be a number"),
        ({"PYFLY_CONFIG_ALLOW_EMPTY": "maybe"}, ["get"], "must be true or false"),
        ({"PYFLY_CONFIG_POLICY": "hope"}, ["get"], "policy must be one of"),
        ({}, ["get", "--url", "config:8888"], "must look like http://host:8888"),
        ({"PYFLY_CONFIG_SNAPSHOT_KEY": "short"}, ["get"], "openssl rand"),
    ],
)
def test_what_cannot_be_used_is_named(
    run: Any, monkeypatch: pytest.MonkeyPatch, variables: Any, argv: Any, said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_the_help_teaches(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "PYFLY_CONFIG_TOKEN_FILE" in out
    assert "there is no such property" in out


# --- variables ------------------------------------------------------------------------


def test_every_variable_reaches_the_client(tmp_path: Path) -> None:
    made = SyncConfigClient.from_env(
        {
            "PYFLY_CONFIG_URL": "http://a:1, http://b:2",
            "PYFLY_CONFIG_APPLICATION": "orders",
            "PYFLY_CONFIG_LABEL": "feature,main",
            "PYFLY_CONFIG_BASE_PATH": "",
            "PYFLY_CONFIG_TIMEOUT": "2.5",
            "PYFLY_CONFIG_TOKEN": "t",
            "PYFLY_CONFIG_POLICY": "offline",
            "PYFLY_CONFIG_ALLOW_SHRINK": "yes",
        },
        application="billing",
    )
    config = made.config
    assert config.application == "billing"
    assert (config.label, config.base_path) == (("feature", "main"), "")
    assert (config.timeout, config.policy, config.allow_shrink) == (2.5, "offline", True)
    assert repr(made) == "SyncConfigClient('http://a:1/billing/default/feature')"
    given = SyncConfigClient.from_env(
        {
            "PYFLY_CONFIG_URL": "http://a",
            "PYFLY_CONFIG_APPLICATION": "orders",
            "PYFLY_CONFIG_TOKEN": "t",
        },
        token_file=tmp_path / "token",
    )
    assert given.config.token_file == tmp_path / "token"


def test_a_variable_that_may_be_misspelt_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    SyncConfigClient.from_env(
        {
            "PYFLY_CONFIG_URL": "http://a",
            "PYFLY_CONFIG_APPLICATION": "orders",
            "PYFLY_CONFIG_PROFIL": "marker-value",
            "PYFLY_CONFIG_SERVER_PORT": "1",
        }
    )
    assert (
        "PYFLY_CONFIG_PROFIL is not a variable of this client; did you mean PYFLY_CONFIG_PROFILE?"
    ) in caplog.text
    assert "SERVER_PORT" not in caplog.text
    assert "marker-value" not in caplog.text


@pytest.mark.parametrize("service", ["PYFLY_CONFIG", "PYFLY_CONFIG_SERVER", "PYFLY_CONFIG_TOKEN"])
@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_what_kubernetes_injects_for_services_is_ignored(
    caplog: pytest.LogCaptureFixture, service: str, address: str
) -> None:
    at = f"[{address}]" if ":" in address else address
    injected = {
        f"{service}_SERVICE_HOST": address,
        f"{service}_SERVICE_PORT": "8888",
        f"{service}_SERVICE_PORT_HTTP": "8888",
        f"{service}_PORT": f"tcp://{at}:8888",
        f"{service}_PORT_8888_TCP": f"tcp://{at}:8888",
        f"{service}_PORT_8888_TCP_PROTO": "tcp",
        f"{service}_PORT_8888_TCP_PORT": "8888",
        f"{service}_PORT_8888_TCP_ADDR": address,
    }
    own = {"PYFLY_CONFIG_URL": "http://pyfly-config:8888", "PYFLY_CONFIG_APPLICATION": "orders"}
    made = SyncConfigClient.from_env(injected | own)
    assert repr(made) == "SyncConfigClient('http://pyfly-config:8888/config/orders/default')"
    assert caplog.text == ""
    # The same names with other values were set by somebody.
    SyncConfigClient.from_env(own | {"PYFLY_CONFIG_PORT": "8888"})
    assert "PYFLY_CONFIG_PORT is not a variable of this client" in caplog.text


def test_the_address_of_a_service_is_not_the_value_of_a_property() -> None:
    injected = {"REDIS_PORT": "tcp://10.0.0.1:6379", "REDIS_PORT_6379_TCP": "tcp://10.0.0.1:6379"}
    given = Properties.of({"redis.port": 6379, "url": "redis://x:${redis.port}"})
    merged = given.merge_into(environ=injected)
    assert (merged.get("redis.port", int), merged["url"]) == (6379, "redis://x:6379")
    merged = given.merge_into(environ=injected | {"REDIS_PORT": "7000"})
    assert (merged.get("redis.port", int), merged["url"]) == (7000, "redis://x:7000")
    named = Properties.of({"url": "${REDIS_PORT}"}).merge_into(environ=injected)
    assert named["url"] == "tcp://10.0.0.1:6379"  # somebody asks for it by its own name


# --- run ------------------------------------------------------------------------------


def start(*argv: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "run", "--", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | variables,
    )


def test_run_gives_the_configuration_to_a_command_and_returns_its_code() -> None:
    process = start("sh", "-c", 'printf "%s %s" "$DB_URL" "$HOSTS_0"; exit 7', HOSTS_0="mine")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "marker-value mine")


def test_run_lets_signals_reach_the_command() -> None:
    script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = start("sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (9, "told\n")


def test_run_says_which_command_there_is_not(tmp_path: Path) -> None:
    process = start("no-such-command-anywhere")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "there is no command" in err) == (127, True)
    (tmp_path / "text").write_text("", encoding="utf-8")
    process = start(str(tmp_path / "text"))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "cannot run" in err) == (126, True)


# --- doctor ---------------------------------------------------------------------------


def test_doctor_says_that_all_is_well(run: Any, server: Any) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "ok    arguments",
        "ok    name",
        "ok    connection",
        "ok    credential",
        "ok    response",
        "note  stored",
        "ok    start",
    ]
    assert "with no Content-Digest" in out
    assert "marker-value" not in out


def test_doctor_notes_that_the_server_cannot_read_its_store(
    run: Any, server: Any, document: Any
) -> None:
    server.answer_json(document, "X-Config-Stale: 42")
    code, out, _ = run("doctor")
    assert code == 0
    assert "note  stale: the server cannot read its store" in out
    assert "42 s old" in out


def test_keys_select_what_is_requested(
    run: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("get", "--keys", "db,hosts")[0] == 0
    monkeypatch.setenv("PYFLY_CONFIG_KEYS", "db")
    assert run("get")[0] == 0
    asked = [request.split()[1] for request in server.requests]
    assert asked == ["/config/orders/prod?keys=db,hosts", "/config/orders/prod?keys=db"]


def test_doctor_says_what_is_wrong(run: Any, server: Any, document: Any) -> None:
    server.answer_json(document | {"name": "billing"})
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAIL  response: " in out
    assert "is for 'billing'" in out
    server.stop()
    code, out, _ = run("doctor", "--timeout", "0.5")
    assert code == 1
    assert "check that the server is running" in out
    code, out, _ = run("doctor", "--timeout", "0.5", "--url", "http://name.invalid")
    assert "FAIL  name: name.invalid has no address" in out


def test_doctor_tells_machines_too(run: Any, server: Any) -> None:
    run("get")
    server.stop()
    code, out, _ = run(
        "doctor", "--json", "--snapshot-dir", os.environ["PYFLY_CONFIG_SNAPSHOT_DIR"]
    )
    found = json.loads(out)
    assert (code, found["starts"]) == (0, True)
    steps = {step["step"]: step["state"] for step in found["steps"]}
    assert steps["connection"] == "fault"
    assert steps["snapshot"] == "ok"


def test_doctor_looks_at_a_start_offline_and_at_a_missing_token(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--policy", "offline", "--snapshot-dir", "off")
    assert (code, "snapshot: disabled" in out, "connection" in out) == (1, True, False)
    code, out, _ = run("doctor", "--token-file", str(tmp_path / "none"))
    assert (code, "FAIL  credential" in out) == (1, True)


def test_a_key_without_a_name_is_no_variable(run: Any, server: Any, document: Any) -> None:
    document["propertySources"][0]["source"] = {"": "odd", "[]": "odd", "a": "x"}
    server.answer_json(document | {"propertySources": document["propertySources"][:1]})
    code, out, _ = run("env")
    assert (code, out) == (0, "export A=x\n")


def test_an_output_that_lacks_characters_is_an_error_of_the_output(
    run: Any, server: Any, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    document["propertySources"][0]["source"]["a"] = "é"
    server.answer_json(document)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    code, _, error = run("get")
    assert code == 1
    assert "the encoding of the output, ascii," in error
    assert "PYTHONIOENCODING=utf-8" in error


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize("words", ["get", "env", "doctor", "get db.url --json"])
def test_an_output_that_cannot_be_written_is_an_error_without_a_traceback(words: str) -> None:
    for redirection, reason in (
        (">&-", "the standard output is closed"),
        (">/dev/full", "cannot write the output: No space left on device"),
    ):
        script = f"{COMMAND} {words} {redirection}"
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, encoding="utf-8", check=False
        )
        assert (done.returncode, done.stderr) == (1, f"pyfly-config-client: {reason}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the streams")
def test_an_error_is_never_printed_as_a_result() -> None:
    script = f"{COMMAND} get nothing 2>&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize("prefix", ["a b;rm ", "é", "1", "$(x)", "x\n"])
def test_env_prints_only_names_that_a_shell_accepts(run: Any, prefix: str) -> None:
    code, out, err = run("env", "--prefix", prefix)
    assert (code, out.strip()) == (0, "")
    assert err.count("shells do not accept this name") == 2


@pytest.mark.parametrize("command", ["env", "run"])
def test_a_prefix_that_no_variable_can_have_is_named(run: Any, command: str) -> None:
    words = ["--", "true"] if command == "run" else []
    code, out, err = run(command, "--prefix", "a=b", *words)
    assert (code, out) == (2, "")
    assert "the prefix of variables must not contain '='" in err


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_run_leaves_no_signal_ignored() -> None:
    """Python ignores SIGPIPE; a command that inherits that fails where it has to end quietly."""
    script = f"{COMMAND} run -- sh -c 'kill -PIPE $$; echo survived'"
    done = subprocess.run(
        ["sh", "-c", f"{script}; echo $?"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        restore_signals=True,
    )
    assert done.stdout.splitlines()[-1] == str(128 + signal.SIGPIPE)
    assert "survived" not in done.stdout


def test_run_says_that_an_empty_command_is_none(run: Any) -> None:
    assert run("run", "--", "") == (127, "", "pyfly-config-client: there is no command ''\n")
