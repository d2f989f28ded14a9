"""The command on stores as a shell runs it: pipes, signals, processes side by side."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))


def run(*argv: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, argv)],
        input=given,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")},
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    return path


def test_a_bundle_lives_from_put_to_delete(store: Path) -> None:
    done = run("put", store, "orders", "prod", "--file", "-", given="db: {url: marker}\n")
    assert done.returncode == 0, done.stderr
    stored = run("put", store, "orders", "prod", "db.pool=5", "--json")
    version = json.loads(stored.stdout)["version"]
    assert run("get", store, "orders", "prod").stdout == "db:\n  url: marker\n  pool: 5\n"
    assert run("delete", store, "orders", "prod", "--expect", "0").returncode == 3
    assert run("delete", store, "orders", "prod", "--expect", version).returncode == 0
    assert run("get", store, "orders", "prod").returncode == 4


def test_writers_side_by_side_lose_no_property(store: Path) -> None:
    """Each repeats its change while the exit code says that another one was faster."""
    loop = f'while :; do "{COMMAND}" put "$0" orders prod "$1=1" 2>/dev/null; r=$?; '
    loop += "[ $r = 3 ] || exit $r; done"
    writers = [
        subprocess.Popen(["sh", "-c", loop, str(store), name], stdout=subprocess.DEVNULL)
        for name in "abcdef"
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 6
    found = json.loads(run("get", store, "orders", "prod", "--json").stdout)
    assert found["properties"] == dict.fromkeys("abcdef", 1)


def test_a_reader_that_goes_away_is_no_crash(store: Path) -> None:
    (store / "main").mkdir()
    for number in range(2000):
        (store / "main" / f"application{number:04}-prod.yaml").write_text("", encoding="utf-8")
    piped = f'{{ "{COMMAND}" list "$0"; echo $? >&2; }} | head -n 1'
    done = subprocess.run(
        ["sh", "-c", piped, str(store)], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.split()[:2] == ["LABEL", "APPLICATION"]
    assert done.stderr == "1\n"


def test_ctrl_c_in_the_editor_keeps_the_text(store: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    # one process: a shell would not stop for a signal that it gets while it starts a program
    editor.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "pathlib.Path(sys.argv[1]).write_text('a: 5\\n', encoding='utf-8')\n"
        "pathlib.Path(f'{__file__}.ready').touch()\n"
        "time.sleep(60)\n",
        encoding="utf-8",
    )
    editor.chmod(0o755)
    with subprocess.Popen(
        [COMMAND, "edit", store, "orders", "prod"],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"EDITOR": str(editor), "TMPDIR": str(tmp_path), "VISUAL": ""},
        start_new_session=True,
    ) as process:
        while not (tmp_path / "editor.ready").exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, told = process.communicate(timeout=30)
    assert process.returncode in {2, 130}, told
    (kept,) = tmp_path.glob("pyfly-config-*/orders-prod.yaml")
    assert kept.read_text(encoding="utf-8") == "a: 5\n"
    assert str(kept) in told
    assert "Traceback" not in told
    assert [*store.rglob("*.*")] == []


HEAVY = ("httpx", "litestar", "pydantic", "pydantic_settings", "rich", "uvicorn")
PROGRAM = (
    "import sys\nfrom pyfly.config_cli import main\n"
    "code = main(sys.argv[1:])\n"
    f"print(*({{*{HEAVY!r}}} & {{*sys.modules}}), sep=',', file=sys.stderr)\n"
    "sys.exit(code)\n"
)
"""The command; the last line of its error output names the modules of `HEAVY` that it imported."""


def imported(*argv: object, **environ: str) -> set[str]:
    """Run a command that succeeds; return the heavy modules that it has imported."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, argv)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=inherited | environ,
    )
    assert done.returncode == 0, done.stderr
    return {name for name in done.stderr.splitlines()[-1].split(",") if name}


def test_help_and_the_commands_on_stores_load_neither_the_web_server_nor_pydantic(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    bundle = (store, "orders", "prod")
    for argv in (
        ("--help",),
        ("--version",),
        ("put", *bundle, "a=1"),
        ("get", *bundle),
        ("list", store),
        ("diff", *bundle, "--to-store", store),
        ("copy", store, tmp_path / "to"),
        ("delete", *bundle, "--expect", "any"),
        ("history", "--help"),
        ("rollback", "--help"),
        ("edit", "--help"),
        ("db", "upgrade", "--help"),
        ("encrypt", "--help"),
        ("completion", "bash"),
    ):
        assert imported(*argv) == set(), argv
    assert "pydantic" in imported("serve", "--help")  # so the test would see it


@pytest.mark.parametrize("words", ["", "ser", "serve --po", "list ", "get ./x or", "put --"])
def test_completion_loads_neither_the_web_server_nor_pydantic(words: str) -> None:
    line = f"pyfly-config {words}"
    assert imported(_PYFLY_CONFIG_COMPLETE="bash_complete", COMP_LINE=line) == set()
