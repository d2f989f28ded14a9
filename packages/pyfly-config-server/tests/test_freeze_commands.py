"""`freeze`, `unfreeze`, `freezes`, and the commands that write into a frozen store."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import InMemoryConfigBackend

Run = Callable[..., Any]
FILE = ".pyfly-config-freezes.json"


def frozen(run: Run, store: object, *more: str) -> str:
    found: str = run(
        "freeze", store, "--reason", "release 1.4", "--author", "ada", "--json", *more
    ).json["id"]
    return found


def listed(run: Run, store: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("freezes", store, "--json").json["freezes"]
    return found


def end(store: Path, freeze_id: str) -> None:
    """Let a freeze end in the past."""
    document = json.loads((store / FILE).read_text(encoding="utf-8"))
    for row in document["freezes"]:
        if row["id"] == freeze_id:
            row["until"] = "2026-01-01T00:00:00Z"
    (store / FILE).write_text(json.dumps(document), encoding="utf-8")


def test_a_freeze_is_shown_with_everything_that_is_known_of_it(run: Run, store: Path) -> None:
    done = run("freeze", store, "--reason", "release 1.4", "--until", "2h", "--author", "ada")
    told = re.fullmatch(r"([2-9a-z]{6}): \*/\*/\* is frozen until (20\S+Z)\n", done.out)
    assert told is not None, done.out
    [row] = listed(run, store)
    assert (row["id"], row["until"]) == told.groups()
    assert (row["state"], row["on"], row["by"]) == ("in force", "*/*/*", "ada")
    assert row["reason"] == "release 1.4"
    assert row["at"] < row["until"]
    table = run("freezes", store).out.splitlines()
    assert table[0].split() == ["ID", "STATE", "ON", "UNTIL", "BY", "SINCE", "REASON"]
    assert table[1].startswith(f"{row['id']}  in force  */*/*")


def test_nothing_is_frozen_at_first(run: Run, store: Path) -> None:
    done = run("freezes", store)
    assert (done.code, done.out, done.err) == (0, "", "nothing is frozen\n")
    assert listed(run, store) == []


def test_a_freeze_without_an_end_says_how_it_ends(run: Run, store: Path) -> None:
    done = run("freeze", store, "--reason", "why", "--label", "main")
    assert done.out.endswith(": */*/main is frozen until it is removed\n")
    assert listed(run, store)[0]["until"] is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reason", ""], "the reason of a freeze must have 1 to 500"),
        (["--reason", "a\nb"], "without line ends"),
        (["--reason", "x", "--until", "yesterday"], "--until: 'yesterday' is not a time"),
        (["--reason", "x", "--until", "2020-01-01"], "--until: '2020-01-01' has passed"),
        (["--reason", "x", "--until", "9999-12-31T23:00:00-02:00"], "is out of range in UTC"),
        (["--reason", "x", "--on", "orders"], "--on: the pattern 'orders' needs three parts"),
        (["--reason", "x", "--label", "a b"], "--label: the label 'a b' of a pattern"),
        (["--reason", "x", "--on", "*/*/*", "--label", "main"], "name either --on or --label"),
        ([], "Missing option '--reason'"),
    ],
)
def test_a_freeze_that_cannot_be_is_explained(
    run: Run, store: Path, arguments: list[str], told: str
) -> None:
    done = run("freeze", store, *arguments)
    assert done.code == 2
    assert told in done.err
    assert not (store / FILE).exists()


WRITES = {
    "put": ["put", "STORE", "orders", "prod", "a=7"],
    "put a file": ["put", "STORE", "orders", "prod", "--file", "STORE/main/orders-prod.yaml"],
    "put unconditionally": ["put", "STORE", "orders", "prod", "a=7", "--expect", "any"],
    "delete": ["delete", "STORE", "orders", "prod", "--expect", "any"],
    "copy": ["copy", "OTHER", "STORE", "--overwrite"],
    "edit": ["edit", "STORE", "orders", "prod"],
    "rollback": ["rollback", "STORE", "orders", "prod", "1"],
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    root = tmp_path / "other"
    (root / "next").mkdir(parents=True)
    (root / "main").mkdir(parents=True)
    (root / "main/orders-prod.yaml").write_text("a: 3\n", encoding="utf-8")
    (root / "next/billing-prod.yaml").write_text("a: 3\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("words", [pytest.param(w, id=n) for n, w in WRITES.items()])
def test_a_command_that_writes_says_why_until_when_and_what_to_do(
    run: Run, store: Path, other: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("EDITOR", "this editor must not be started")
    freeze_id = frozen(run, store, "--label", "main", "--until", "2999-01-01")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    replaced = [one.replace("STORE", str(store)).replace("OTHER", str(other)) for one in words]
    done = run(*replaced)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(
        "pyfly-config: orders/prod/main is frozen until 2999-01-01T00:00:00Z: release 1.4; "
        f"nothing was written\nto write again: pyfly-config unfreeze {store} {freeze_id}\n"
    )
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "named"),
    [("", "'{directory}'"), ("?layout=spring", "STORE")],
    ids=["a directory with a blank", "a URL with options"],
)
def test_the_command_that_helps_names_the_same_store(
    run: Run, tmp_path: Path, options: str, named: str
) -> None:
    directory = tmp_path / "my config"
    (directory / "main").mkdir(parents=True)
    store = f"{directory.as_uri()}{options}" if options else str(directory)
    freeze_id = frozen(run, store)
    done = run("put", store, "orders", "prod", "a=7")
    told = named.format(directory=directory)
    assert done.err.endswith(f"to write again: pyfly-config unfreeze {told} {freeze_id}\n")


def test_rekey_begins_nothing_that_a_freeze_covers(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text('encrypt-key = "old"\n[encrypt-keys]\n2028 = "new"\n', encoding="utf-8")
    settings.chmod(0o600)
    cipher = run("encrypt", "hello", "--settings", settings).out.strip()
    for name in ("main/orders-prod.yaml", "next/orders-prod.yaml"):
        (store / name).write_text(f"a: '{cipher}'\n", encoding="utf-8")
    freeze_id = frozen(run, store, "--label", "next")
    words = ("rekey", store, "--from", "default", "--to", "2028", "--settings", settings)
    done = run(*words)
    assert done.code == 1
    assert f"unfreeze {store} {freeze_id}" in done.err
    assert cipher in (store / "main/orders-prod.yaml").read_text(encoding="utf-8")
    assert run(*words, "--dry-run").code == 0
    assert run("unfreeze", store, freeze_id).code == 0
    assert run(*words).code == 0


def test_what_only_reads_and_a_dry_run_go_on(run: Run, store: Path, other: Path) -> None:
    frozen(run, store)
    for words in (
        ["list", store],
        ["get", store, "orders", "prod"],
        ["diff", store, "orders", "prod", "--to-label", "next"],
        ["copy", other, store, "--dry-run", "--overwrite"],
        ["copy", store, other, "--label", "next"],
    ):
        done = run(*words)
        assert (done.code, "frozen" in done.err) == (0, False), done.err
    assert not (other / FILE).exists(), "a freeze was copied"


def test_a_freeze_that_is_removed_stops_nothing(run: Run, store: Path) -> None:
    first, second = frozen(run, store, "--label", "main"), frozen(run, store, "--label", "next")
    assert run("unfreeze", store, first).out == f"removed: {first}\n"
    assert [row["id"] for row in listed(run, store)] == [second]
    assert run("put", store, "orders", "prod", "a=7").code == 0
    assert run("unfreeze", store, "--all", "--json").json == {"removed": [second]}
    assert listed(run, store) == []
    assert run("unfreeze", store, "--all").out == "removed: nothing\n"


def test_a_freeze_that_has_ended_is_shown_stops_nothing_and_can_be_removed(
    run: Run, store: Path
) -> None:
    ended, other = frozen(run, store), frozen(run, store, "--label", "next")
    end(store, ended)
    assert [(row["id"], row["state"]) for row in listed(run, store)] == [
        (ended, "ended"),
        (other, "in force"),
    ]
    assert run("put", store, "orders", "prod", "a=7").code == 0
    assert run("unfreeze", store, "--ended").out == f"removed: {ended}\n"
    assert [row["id"] for row in listed(run, store)] == [other]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the freezes by their ids, or add --ended or --all"),
        (["abc", "--all"], "name the freezes by their ids, or add --ended or --all"),
        (["abc"], "there is no freeze 'abc'; there are: none"),
    ],
)
def test_what_to_remove_must_be_known(
    run: Run, store: Path, arguments: list[str], told: str
) -> None:
    done = run("unfreeze", store, *arguments)
    assert done.code == 2
    assert told in done.err


def test_a_broken_text_is_removed_as_a_whole(run: Run, store: Path) -> None:
    (store / FILE).write_text("{", encoding="utf-8")
    for words in (
        ["put", store, "orders", "prod", "a=7"],
        ["freezes", store],
        ["freeze", store, "--reason", "x"],
        ["unfreeze", store, "abc"],
        ["unfreeze", store, "--ended"],
    ):
        done = run(*words)
        assert done.code == 1
        assert "pyfly-config unfreeze STORE --all" in done.err
    done = run("unfreeze", store, "--all")
    assert done.code == 0
    assert "the text of the freezes is broken; it is removed as a whole" in done.err
    assert run("put", store, "orders", "prod", "a=7").code == 0


def test_a_store_that_keeps_no_freezes_says_so(run: Run, plain: object) -> None:
    del plain
    for words in (
        ["freeze", "plain:", "--reason", "x"],
        ["unfreeze", "plain:", "--all"],
        ["freezes", "plain:"],
    ):
        done = run(*words)
        assert done.code == 1
        assert "Plain does not support freezes" in done.err


def test_another_store_than_files_is_frozen_in_the_same_way(
    run: Run, memory: InMemoryConfigBackend
) -> None:
    del memory
    freeze_id = frozen(run, "memory:", "--on", "orders/*/*")
    assert f"unfreeze memory: {freeze_id}" in run("put", "memory:", "orders", "prod", "a=1").err
    assert run("put", "memory:", "billing", "prod", "a=1").code == 0


# --- the audit log ----------------------------------------------------------------------


@pytest.fixture
def audited(tmp_path: Path) -> tuple[Path, Path]:
    """Return the settings of a server with an audit log, and that."""
    log, settings = tmp_path / "audit.log", tmp_path / "server.toml"
    settings.write_text(f'audit-log = "{log}"\n', encoding="utf-8")
    return settings, log


def rows(log: Path) -> list[tuple[object, ...]]:
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = ("operation", "result", "principal", "application", "label", "freeze", "reason")
    return [tuple(row.get(name) for name in names) for row in found]


def test_freezes_have_lines_in_the_audit_log(
    run: Run, store: Path, audited: tuple[Path, Path]
) -> None:
    settings, log = audited
    one = frozen(run, store, "--on", "orders/*/main", "--settings", str(settings))
    run("unfreeze", store, one, "--author", "bob", "--settings", settings)
    target = ("orders", "main", one, "release 1.4")
    assert rows(log) == [
        ("freeze", "attempt", "ada", *target),
        ("freeze", "done", "ada", *target),
        ("unfreeze", "attempt", "bob", *target),
        ("unfreeze", "done", "bob", *target),
    ]


def test_the_environment_names_the_audit_log_too(
    run: Run, store: Path, audited: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, log = audited
    monkeypatch.setenv("PYFLY_CONFIG_SERVER_SETTINGS", str(settings))
    (store / FILE).write_text("{", encoding="utf-8")
    run("unfreeze", store, "--all", "--author", "bob")
    assert [row[:3] for row in rows(log)] == [
        ("unfreeze", "attempt", "bob"),
        ("unfreeze", "done", "bob"),
    ]


def test_nothing_is_changed_that_cannot_be_recorded(run: Run, store: Path, tmp_path: Path) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text(f'audit-log = "{tmp_path}/absent/audit.log"\n', encoding="utf-8")
    done = run("freeze", store, "--reason", "x", "--settings", settings)
    assert done.code == 2
    assert "audit" in done.err
    assert not (store / FILE).exists()


def test_an_audit_log_on_standard_output_is_that_of_the_server(
    run: Run, store: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text('audit-log = "-"\n', encoding="utf-8")
    done = run("freeze", store, "--reason", "x", "--settings", settings)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert "this change is not in it" in done.err
