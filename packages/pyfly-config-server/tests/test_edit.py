import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def version(run: Run, store: object, *names: str) -> str:
    found: str = run("get", store, *names, "--json").json["version"]
    return found


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set an editor: a piece of Python that has the `path` it was called with."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("VISUAL", raising=False)

    def set_to(code: str) -> None:
        script = tmp_path / "editor.py"
        script.write_text(
            f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{code}\n", encoding="utf-8"
        )
        monkeypatch.setenv("EDITOR", f"'{sys.executable}' '{script}'")

    return set_to


def left_behind(tmp_path: Path) -> list[Path]:
    return [*tmp_path.glob("pyfly-config-*/*")]


def test_edit_stores_what_the_editor_leaves(
    run: Run, store: Path, tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor(
        "assert path.stat().st_mode & 0o77 == 0 and path.parent.stat().st_mode & 0o77 == 0\n"
        "path.write_text(path.read_text().replace('a: 1', 'a: 7'))"
    )
    assert "stored, now at version" in run("edit", store, "orders", "prod").out
    found = run("get", store, "orders", "prod", "--json").json["properties"]
    assert found == {"a": 7, "b": {"c": ["x", "y"]}}
    assert left_behind(tmp_path) == []


def test_edit_creates_a_bundle(run: Run, store: Path, editor: Callable[[str], None]) -> None:
    editor("assert path.read_text() == ''; path.write_text('a: 1')")
    assert run("edit", store, "orders", "qa").code == 0
    assert run("get", store, "orders", "qa").out == "a: 1\n"


def test_edit_without_a_change_stores_nothing(
    run: Run, store: Path, tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor("")
    before = version(run, store, "orders", "prod")
    assert run("edit", store, "orders", "prod").out == "orders/prod/main: nothing changed\n"
    assert version(run, store, "orders", "prod") == before
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("path.write_text('a: [')", 1, "orders-prod.yaml, line 2"),
        ("path.write_text('')", 1, "not a mapping"),
        ("path.write_text('a: 5'); sys.exit(1)", 2, "ended with exit code 1"),
        ("path.write_text('a: 5'); other.write_text('a: 6')", 3, "is at version"),
    ],
)
def test_edit_keeps_a_text_that_was_not_stored(
    run: Run,
    store: Path,
    tmp_path: Path,
    editor: Callable[[str], None],
    code: str,
    exit_code: int,
    said: str,
) -> None:
    editor(f"other = pathlib.Path({str(store / 'main/orders-prod.yaml')!r})\n{code}")
    done = run("edit", store, "orders", "prod")
    (kept,) = left_behind(tmp_path)
    assert done.code == exit_code
    assert said in done.err
    assert f"put --file {kept}" in done.err
    assert kept.name == "orders-prod.yaml"


@pytest.mark.parametrize("command", ["/nowhere/editor", "'unclosed"])
def test_an_editor_that_does_not_start_is_named(
    run: Run,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    editor: Callable[[str], None],
    command: str,
) -> None:
    monkeypatch.setenv("EDITOR", command)
    done = run("edit", store, "orders", "prod")
    assert done.code == 2
    assert "set EDITOR to another one" in done.err
    assert left_behind(tmp_path) == []
