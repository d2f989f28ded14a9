"""The command where output goes nowhere, breaks off, or has an encoding that lacks characters."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
KEY = {"PYFLY_CONFIG_SERVER_ENCRYPT_KEY": "foo"}
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output") / "store"
    (path / "main").mkdir(parents=True)
    for name in ("orders", "billing"):
        (path / f"main/{name}-prod.yaml").write_text("a: ä☃\n", encoding="utf-8")
    return path


def shell(
    line: str, store: Path, given: bytes = b"", *, environ: Mapping[str, str] = KEY
) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell, in which `$C` is the command and `$S` the store."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        ["sh", "-c", line],
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
        env={**inherited, "C": COMMAND, "S": str(store), **environ},
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('"$C" get "$S" orders prod >&-', 0, b"at version"),
        ('"$C" get "$S" orders prod 2>&-', 0, b""),
        ('"$C" get "$S" orders nobody 2>&-', 4, b""),
        ('"$C" copy "$S" "$S" --json >&- 2>&-', 0, b""),
        ('"$C" list "$S" >/dev/full', 1, b"No space left on device"),
        ('"$C" --help >/dev/full', 1, b"No space left on device"),
        ('{ "$C" --help; echo $? >&3; } 3>&2 | true', 0, b""),
        ('{ "$C" get "$S" orders prod; echo $? >&3; } 3>&2 | true', 0, b""),
        ('"$C" put "$S" orders qa --file - <&-', 2, b"standard input is closed"),
        ('"$C" encrypt <&-', 2, b"standard input is closed"),
    ],
)
def test_streams_that_are_closed_or_full_are_no_crash(
    store: Path, line: str, code: int, said: bytes
) -> None:
    done = shell(line, store)
    assert (done.returncode, said in done.stderr) == (code, True), done
    for words in (b"Traceback", b"Exception ignored", b"object address"):
        assert words not in done.stderr


def test_an_encoding_without_the_characters_changes_no_value(store: Path) -> None:
    for environ in ({"PYTHONIOENCODING": "ascii"}, POSIX):
        done = shell('"$C" get "$S" orders prod', store, environ=environ)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"lacks characters of the result; set PYTHONIOENCODING=utf-8" in done.stderr
        done = shell('"$C" get "$S" orders prod --json', store, environ=environ)
        assert (done.returncode, b'"a": "\\u00e4\\u2603"' in done.stdout) == (0, True)
        done = shell('"$C" diff "$S" orders prod --to-store memory:', store, environ=environ)
        assert b"Traceback" not in done.stderr


def test_arguments_variables_and_input_are_utf8_in_every_locale(store: Path) -> None:
    line = '"$C" encrypt | "$C" decrypt && "$C" encrypt "ä☃" | "$C" decrypt'
    key = {"PYFLY_CONFIG_SERVER_ENCRYPT_KEY": "schlüssel☃"}
    environ = key | POSIX | {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    line = line.replace('"$C" encrypt', 'LC_ALL=C "$C" encrypt')
    done = shell(line, store, "ä☃\n".encode(), environ=environ)
    assert (done.returncode, done.stdout.decode()) == (0, "ä☃\nä☃\n"), done
    for line in ('"$C" get "$S" "$(printf \'\\377\')" prod', '"$C" encrypt'):
        done = shell(line, store, b"\xff")
        assert (done.returncode, b"is not UTF-8" in done.stderr) == (2, True), done


def on_a_terminal(*argv: object, results: bool = False, **environ: str) -> tuple[int, str]:
    """Run the command with standard error on a terminal; return its exit code and what it shows.

    With `results`, standard output goes to the terminal, too.
    """
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *map(str, argv)],
        stdin=subprocess.DEVNULL,
        stdout=follower if results else subprocess.DEVNULL,
        stderr=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "60"} | environ,
    ) as process:
        os.close(follower)
        shown, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.2)[0]:
                try:
                    shown += os.read(leader, 65_536)
                except OSError:  # Linux: the other end is closed
                    break
            elif process.poll() is not None:
                break
    os.close(leader)
    return process.returncode, shown.decode()


def test_a_copy_shows_its_progress_on_a_terminal_only(store: Path, tmp_path: Path) -> None:
    code, shown = on_a_terminal("copy", store, tmp_path, "--dry-run", NO_COLOR="1", COLUMNS="120")
    assert code == 0
    assert "Copying" in shown
    assert "0/2" in shown
    assert "billing/prod/main" in shown
    assert COLOUR.search(shown) is None
    done = shell('"$C" copy "$S" "$S"', store)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_long_listing_shows_its_progress_on_a_terminal_only(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    for number in range(1_100):
        (tmp_path / "main" / f"application{number:04}-prod.yaml").touch()
    code, shown = on_a_terminal("list", tmp_path)
    assert (code, "Listing" in shown) == (0, True)
    done = shell('"$C" list "$S"', tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1_101


def test_a_table_fits_a_terminal_and_is_one_line_a_row_in_a_pipe(store: Path) -> None:
    code, shown = on_a_terminal("list", store, results=True, NO_COLOR="1")
    lines = shown.replace("\r", "").splitlines()
    assert (code, COLOUR.search(shown)) == (0, None)
    assert max(map(len, (STYLE.sub("", line) for line in lines))) <= 60
    assert len(lines) > 3  # a version has 64 digits
    done = shell('"$C" list "$S"', store, environ={"COLUMNS": "60"})
    assert [len(line.split()) for line in done.stdout.decode().splitlines()] == [4, 4, 4]


def test_a_control_character_of_a_name_does_not_reach_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31mb").mkdir()
    (tmp_path / "a\x1b[31mb" / "orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    code, shown = on_a_terminal("list", tmp_path, results=True)
    assert code == 0
    assert "\x1b[31m" not in shown


def test_differences_and_errors_are_coloured_on_a_terminal_only(store: Path) -> None:
    arguments = ("diff", store, "orders", "prod", "--to-store", store, "--to-application", "other")
    (store / "main/other-prod.yaml").write_text("a: 2\n", encoding="utf-8")
    try:
        code, shown = on_a_terminal(*arguments, results=True, NO_COLOR="")
        assert code == 0
        assert "\x1b[31m- a: " in shown
        assert "\x1b[32m+ a: 2\x1b[0m" in shown
        for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert "\x1b" not in on_a_terminal(*arguments, results=True, **environ)[1]
        line = '"$C" diff "$S" orders prod --to-application other'
        assert b"\x1b" not in shell(line, store).stdout
    finally:
        (store / "main/other-prod.yaml").unlink()
    assert "\x1b[31mpyfly-config:" in on_a_terminal("list", "nowhere", NO_COLOR="")[1]
    assert b"\x1b" not in shell('"$C" list nowhere', store).stderr
