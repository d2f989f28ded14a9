"""What the help of the command says can be done as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client._command import main

ADDRESS = "http://config:8888"


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str]) -> Any:
    def help_of(*command: str) -> str:
        with pytest.raises(SystemExit) as done:
            main([*command, "--help"])
        assert done.value.code == 0
        return capsys.readouterr().out

    return help_of


@pytest.fixture
def shell(server_url: str, tmp_path: Path) -> Any:
    """Run a script in a shell of a service, with the address of a real server in it."""
    (tmp_path / "orders.py").write_text(
        "import os; print('started with', os.environ['DB_URL'])", encoding="utf-8"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYFLY_", "DB_URL"))}
    environ.pop("PYTHONSAFEPATH", None)  # the example of `run` is a module in the directory
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ["PYFLY_CONFIG_TIMEOUT"] = "60"
    environ["PYFLY_CONFIG_SNAPSHOT_DIR"] = str(tmp_path / "state")

    def run(script: str) -> str:
        assert ADDRESS in script
        done = subprocess.run(
            ["sh", "-ec", script.replace(ADDRESS, server_url)],
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=tmp_path,
            env=environ,
        )
        assert (done.returncode, done.stderr) == (0, ""), script
        return done.stdout

    return run


@pytest.mark.slow
def test_every_example_of_every_command_works(help_of: Any, shell: Any, tmp_path: Path) -> None:
    listed = help_of().partition("COMMAND\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^    (\w+) ", listed, re.MULTILINE)
    assert commands == ["get", "env", "run", "doctor"]
    printed: list[str] = []
    for command in commands:
        examples = help_of(command).partition("\nexamples:\n")[2].splitlines()
        assert examples, command
        for example in examples:
            after = "" if command != "env" else '; printf %s "$DB_URL"'
            printed.append(shell(example.strip() + after))
    everything, one, explained, document, env, run, doctor = printed
    assert everything == "db.url=marker-value\nhosts[0]=c\n"
    assert one == "marker-value\n"
    assert explained == "db.url comes from main/orders-prod.yaml\n"
    assert (document, "marker-value" in (tmp_path / "baseline.json").read_text("utf-8")) == (
        "",
        True,
    )
    assert env == "marker-value"
    assert run == "started with marker-value\n"
    assert "ok    start: 2 properties from server" in doctor


def test_no_line_of_a_help_is_an_example_that_nobody_runs(help_of: Any) -> None:
    for command in ((), ("get",), ("env",), ("run",), ("doctor",)):
        before = help_of(*command).partition("\nexamples:\n")[0]
        assert ADDRESS not in before
