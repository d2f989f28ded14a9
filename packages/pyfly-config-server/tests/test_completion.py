"""What shells complete, as `bash` asks for it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._cli.completion import SHELLS, VARIABLE
from pyfly.config_cli._commands.catalogue import COMMANDS

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(run: Any, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Return the completions of a line: each with its type."""

    def complete(line: str, *, breaks: str = " \t\n\"'><=;|&(:") -> list[str]:
        with monkeypatch.context() as shell:
            shell.setenv(VARIABLE, "bash_complete")
            shell.setenv("COMP_LINE", line)
            shell.setenv("COMP_WORDBREAKS", breaks)
            done = run()
        assert (done.code, done.err) == (0, "")
        found: list[str] = done.out.split()
        return found

    return complete


def test_commands_and_options_are_completed(complete: Complete) -> None:
    assert complete("pyfly-config ") == [f"plain,{entry.name}" for entry in COMMANDS]
    assert complete("pyfly-config h") == ["plain,history"]
    assert complete("pyfly-config --v") == ["plain,--version"]
    assert complete("pyfly-config db ") == ["plain,upgrade"]
    assert complete("pyfly-config serve --p") == ["plain,--port"]
    assert complete("pyfly-config copy a b --dr") == ["plain,--dry-run"]
    assert complete("pyfly-config put a b c --format ") == ["plain,yaml", "plain,json"]
    assert complete("pyfly-config completion ") == [f"plain,{shell}" for shell in SHELLS]
    assert complete("pyfly-config nothing ") == complete("pyfly-config ")


def test_stores_are_completed_by_directories_and_schemes(
    complete: Complete, tmp_path: Path
) -> None:
    found = complete("pyfly-config list ")
    assert {"open,file:", "open,memory:", "open,sqlite:"} <= {*found}
    assert "dir," in found  # bash adds the directories
    assert complete("pyfly-config list sql") == ["open,sqlite:", "dir,sql"]
    (tmp_path / "config").mkdir()
    (tmp_path / "configuration").mkdir()
    (tmp_path / "config.yaml").touch()
    (tmp_path / ".hidden").mkdir()
    names = [f"{tmp_path}/config/", f"{tmp_path}/configuration/"]
    for slashes in ("", "//"):
        line = f"pyfly-config list file:{slashes}{tmp_path}/"
        assert complete(line) == [f"open,{slashes}{name}" for name in names]
        assert complete(f"{line}configu") == [f"open,{slashes}{names[1]}"]
        assert complete(line, breaks=" ") == [f"open,file:{slashes}{name}" for name in names]
    assert complete(f"pyfly-config list file:{tmp_path}/nothing/") == []
    assert complete(f"pyfly-config diff {tmp_path} a b --to-store file:{tmp_path}/configu") == [
        f"open,{names[1]}"
    ]


def test_a_url_that_is_completed_runs_nothing(complete: Complete, tmp_path: Path) -> None:
    """A shell inserts it as it is: what means something to the shell is percent-encoded."""
    (tmp_path / "my dir;touch x").mkdir()
    (tmp_path / "my $(id)").mkdir()
    line = f"pyfly-config list file://{tmp_path}/my"
    names = ["my%20%24%28id%29", "my%20dir%3Btouch%20x"]
    assert complete(line) == [f"open,//{tmp_path}/{name}/" for name in names]
    assert complete(f"{line}%20d") == [f"open,//{tmp_path}/{names[1]}/"]
    (tmp_path / "my $(id)" / "main").mkdir()
    assert complete(f"{line}%20%24%28id%29/") == [f"open,//{tmp_path}/{names[0]}/main/"]


def test_names_in_a_directory_are_completed(complete: Complete, store: Path) -> None:
    (store / "main/billing-prod.yaml").write_text("a: [", encoding="utf-8")  # broken
    assert complete(f"pyfly-config get {store} ") == ["plain,billing", "plain,orders"]
    assert complete(f"pyfly-config get {store} o") == ["plain,orders"]
    assert complete(f"pyfly-config get {store} billing ") == ["plain,prod"]
    assert complete(f"pyfly-config get {store} orders d") == ["plain,dev"]
    assert complete(f"pyfly-config get {store} orders prod --label ") == [
        "plain,main",
        "plain,next",
    ]
    assert complete(f"pyfly-config list {store} --application ") == [
        "plain,billing",
        "plain,orders",
    ]
    assert complete(f"pyfly-config get {store.as_uri()} o") == ["plain,orders"]


def test_no_store_behind_a_network_and_no_error_disturbs_the_line(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyfly.config_cli._stores.opening.open_backend", pytest.fail)
    for store in ("sqlite:///config.db", "s3://bucket", "nowhere", f"{tmp_path}/none", "nothing:"):
        assert complete(f"pyfly-config get {store} ") == []
    assert complete("pyfly-config get 'unclosed") == complete("pyfly-config get unclosed")


@pytest.mark.slow
def test_the_script_of_bash_completes(store: Path, tmp_path: Path) -> None:
    """Bash itself calls the function of the script, as at a press of the key."""
    command = Path(sys.executable).with_name("pyfly-config")
    script = tmp_path / "complete.sh"
    script.write_text(
        f"""
eval "$("{command}" completion bash)"
complete_line() {{
    COMP_LINE="$1" COMP_POINT=${{#1}}
    compopt() {{ :; }}
    _pyfly_config_completion "{command}"
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line "pyfly-config histo"
complete_line "pyfly-config get {store.as_uri()} ord"
complete_line "pyfly-config list file://{store}/ma"
complete -p pyfly-config
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["bash", script], check=True, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.stdout.splitlines() == [
        "history",
        "orders",
        f"//{store}/main/",
        "complete -o nosort -F _pyfly_config_completion pyfly-config",
    ]
    assert done.stderr == ""


def test_every_shell_has_a_script(run: Any) -> None:
    for shell in SHELLS:
        done = run("completion", shell)
        assert (done.code, f"{VARIABLE}={shell}_complete" in done.out) == (0, True)
        assert "pyfly-config" in done.out
    assert run("completion", "tcsh").code == 2
