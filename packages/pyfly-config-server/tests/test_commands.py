"""Reading and writing single bundles."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._console.tables import plain_table
from pyfly.config_server import InMemoryConfigBackend

Run = Callable[..., Any]


def version(run: Run, store: object, *names: str) -> str:
    found: str = run("get", store, *names, "--json").json["version"]
    return found


# --- list -----------------------------------------------------------------------------


def test_list_shows_a_table_of_names_and_what_is_broken(run: Run, store: Path) -> None:
    (store / "main/billing-prod.yaml").write_text("a: [", encoding="utf-8")
    done = run("list", store)
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["LABEL", "APPLICATION", "PROFILE", "VERSION"]
    assert [row[:3] for row in rows[1:]] == [
        ["main", "billing", "prod"],
        ["main", "orders", "dev"],
        ["main", "orders", "prod"],
        ["next", "orders", "prod"],
    ]
    assert done.code == 1
    assert "unreadable: billing/prod/main: main/billing-prod.yaml, line" in done.err


def test_list_is_filtered_and_told_to_machines(run: Run, store: Path) -> None:
    (store / "next/orders-qa.yaml").write_text("a: [", encoding="utf-8")
    rows = run("list", store, "--label", "next", "--application", "orders", "--json").json
    assert [row["profile"] for row in rows["bundles"]] == ["prod", "qa"]
    assert "error" in rows["bundles"][1]
    assert run("list", store, "--profile", "dev", "--json").json["bundles"][0]["label"] == "main"
    assert run("list", store, "--application", "nobody", "--json").json == {"bundles": []}


def test_a_table_keeps_control_characters_from_the_terminal() -> None:
    assert plain_table(("A", "B"), [("\x1b[31mred\n", "x")]).splitlines()[1] == "�[31mred�  x"


# --- get ------------------------------------------------------------------------------


def test_get_prints_yaml_that_can_be_stored_again(run: Run, store: Path, tmp_path: Path) -> None:
    done = run("get", store, "orders", "prod")
    assert (done.code, done.out) == (0, "a: 1\nb:\n  c:\n  - x\n  - y\n")
    assert done.err.startswith("orders/prod/main at version ")
    again = tmp_path / "again.yaml"
    again.write_text(done.out, encoding="utf-8")
    assert run("put", store, "orders", "qa", "--file", again).code == 0
    assert run("get", store, "orders", "qa").out == done.out


def test_get_tells_machines_values_as_they_are_stored(run: Run, store: Path) -> None:
    found = run("get", store, "orders", "prod", "--label", "next", "--json").json
    assert found["properties"] == {"a": 1, "b": {"c": ["x"]}, "d": True}
    assert (found["application"], found["profile"], found["label"]) == ("orders", "prod", "next")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("get", "STORE", "orders", "nobody"), 4, "bundle 'orders/nobody/main' does not exist"),
        (("get", "STORE", "orders", "prod", "--version", "1"), 1, "does not support history"),
        (("get", "STORE", "orders", ""), 2, "profile '' is not acceptable"),
        (("get", "nowhere", "orders", "prod"), 2, "there is no directory 'nowhere'"),
        (("get", "nothing:", "orders", "prod"), 2, "no backend for 'nothing:'"),
        (("get", "STORE"), 2, "Missing argument 'APPLICATION'"),
        (("fetch", "STORE"), 2, "there is no command 'fetch'"),
        ((), 2, "Usage: pyfly-config"),
        (("history", "STORE", "orders", "prod"), 1, "FilesystemConfigBackend does not support"),
        (("rollback", "STORE", "orders", "prod", "1"), 1, "does not support history"),
        (("delete", "STORE", "orders", "prod"), 2, "--expect"),
        (("delete", "STORE", "orders", "prod", "--expect", "absent"), 3, "is at version"),
        (("put", "STORE", "orders", "prod"), 2, "name either --file FILE"),
        (("put", "STORE", "orders", "prod", "a=1", "--file", "x"), 2, "name either --file FILE"),
        (
            ("put", "STORE", "orders", "prod", "b=1", "a"),
            2,
            "assignment 2 has no key or no '='; write",
        ),
        (("put", "STORE", "orders", "prod", "=a"), 2, "assignment 1 has no key"),
        (("put", "STORE", "orders", "prod", "--remove", "x"), 1, "orders/prod/main: there is no"),
        (("put", "STORE", "orders", "prod", "a.b=1"), 1, "below a single value"),
        (("put", "STORE", "orders", "prod", "--file", "nowhere.yaml"), 2, "No such file"),
        (("put", "STORE", "orders", "prod", "a=5", "--expect", "0"), 3, "is at version"),
        (("diff", "STORE", "orders", "prod"), 2, "compares a bundle with itself"),
        (("diff", "STORE", "orders", "prod", "--to-label", "x"), 4, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    run: Run, store: Path, argv: tuple[str, ...], code: int, said: str
) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*.*")}
    done = run(*(str(store) if word == "STORE" else word for word in argv))
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert {path: path.read_bytes() for path in store.rglob("*.*")} == before


# --- put ------------------------------------------------------------------------------


def test_put_changes_single_properties_and_keeps_the_rest(run: Run, store: Path) -> None:
    names = ("orders", "prod")
    done = run("put", store, *names, "b.c[1]=on", "b.c[2]='8'", "e.f=", "--remove", "a", "--json")
    assert done.code == 0
    assert done.json["version"] == version(run, store, *names)
    found = run("get", store, *names, "--json").json["properties"]
    assert found == {"b": {"c": ["x", True, "8"]}, "e.f": None}


def test_put_creates_a_bundle_from_single_properties(run: Run, store: Path) -> None:
    assert run("put", store, "billing", "prod", "db.url=x", "hosts[0]=a").code == 0
    found = run("get", store, "billing", "prod", "--json").json["properties"]
    assert found == {"db.url": "x", "hosts": ["a"]}


def test_put_of_a_file_replaces_only_what_is_expected(
    run: Run, store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    file.write_text('{"z": [1]}', encoding="utf-8")
    assert run("put", store, "orders", "prod", "--file", file).code == 3
    current = version(run, store, "orders", "prod")
    assert run("put", store, "orders", "prod", "--file", file, "--expect", current).code == 0
    assert run("put", store, "orders", "prod", "--file", file, "--expect", current).code == 3
    assert run("put", store, "orders", "prod", "--file", file, "--expect", "any").code == 0
    assert run("get", store, "orders", "prod", "--json").json["properties"] == {"z": [1]}


def test_put_reads_standard_input(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    give(b"a: 5")
    assert run("put", store, "orders", "qa", "--file", "-").code == 0
    give(b"a: 5")
    done = run("put", store, "orders", "qa2", "--file", "-", "--format", "json")
    assert done.code == 1
    assert "standard input, line 1" in done.err
    give(b"")
    assert "not a mapping" in run("put", store, "orders", "qa2", "--file", "-").err


def test_put_names_the_broken_file(run: Run, store: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: marker\na: 2\n", encoding="utf-8")
    done = run("put", store, "orders", "qa", "--file", broken)
    assert done.code == 1
    assert "broken.yaml, line 2" in done.err
    assert "marker" not in done.err


# --- delete, history, rollback --------------------------------------------------------


def test_delete_removes_what_is_expected(run: Run, store: Path) -> None:
    current = version(run, store, "orders", "dev")
    assert run("delete", store, "orders", "dev", "--expect", "0").code == 3
    done = run("delete", store, "orders", "dev", "--expect", current)
    assert (done.code, done.out) == (0, "orders/dev/main: removed\n")
    assert not (store / "main/orders-dev.json").exists()


def test_history_old_versions_and_rollback(run: Run, memory: InMemoryConfigBackend) -> None:
    names = ("memory:", "orders", "prod")
    first = run("put", *names, "a=1", "--json").json["version"]
    second = run("put", *names, "a=2", "--json").json["version"]
    assert run("get", *names, "--version", first).out == "a: 1\n"
    assert run("diff", *names, "--version", first).out == "- a: 1\n+ a: 2\n"
    assert run("rollback", *names, first, "--expect", first).code == 3
    third = run("rollback", *names, first, "--json").json["version"]
    assert run("get", *names).out == "a: 1\n"
    assert run("delete", *names, "--expect", third).code == 0
    rows = run("history", *names, "--json").json["versions"]
    assert [row["deleted"] for row in rows] == [True, False, False, False]
    assert [row["version"] for row in rows[1:]] == [third, second, first]
    assert rows[1]["message"] == f"rollback to {first}"
    lines = run("history", *names).out.splitlines()
    assert lines[0].split() == ["VERSION", "SAVED", "(UTC)", "AUTHOR", "MESSAGE"]
    assert lines[1].endswith("(removed)")
    assert run("rollback", *names, "no-such").code == 4
    assert run("history", "memory:", "orders", "never").code == 4


def test_every_change_has_an_author_and_a_message(
    run: Run, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setenv("VISUAL", "sh -c 'echo b: 1 >> \"$0\"'")
    names = ("memory:", "orders", "prod")
    own = ("--author", "grace", "--message", "for the sale")
    first = run("put", *names, "a=1", "--json").json["version"]
    assert run("put", *names, "a=2", *own).code == 0
    assert run("edit", *names, *own).code == 0
    assert run("rollback", *names, first).code == 0
    assert run("rollback", *names, first, *own).code == 0
    assert run("delete", *names, "--expect", "any", *own).code == 0
    rows = run("history", *names, "--json").json["versions"]
    assert [(row["author"], row["message"]) for row in reversed(rows)] == [
        ("ada", None),
        ("grace", "for the sale"),
        ("grace", "for the sale"),
        ("ada", f"rollback to {first}"),
        ("grace", "for the sale"),
        ("grace", "for the sale"),
    ]
    assert run("copy", store, "memory:", *own).code == 0
    (row,) = run("history", "memory:", "orders", "dev", "--json").json["versions"]
    assert (row["author"], row["message"]) == ("grace", "for the sale")
    assert run("put", *names, "a=1", "--author", "x" * 257).code == 1


def test_a_user_without_a_name_is_no_author(
    run: Run, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getuser() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", getuser)
    assert run("put", "memory:", "orders", "prod", "a=1").code == 0
    (row,) = run("history", "memory:", "orders", "prod", "--json").json["versions"]
    assert row["author"] is None


def test_history_shows_the_newest_twenty_and_how_to_see_more(
    run: Run, memory: InMemoryConfigBackend
) -> None:
    names = ("memory:", "orders", "prod")
    made = [run("put", *names, f"a={n}", "--json").json["version"] for n in range(21)]
    newest = run("history", *names)
    assert [line.split()[0] for line in newest.out.splitlines()] == ["VERSION", *made[:0:-1]]
    assert newest.err == "there are older versions; show more with --limit, such as --limit 200\n"
    some = run("history", *names, "--limit", "2", "--json")
    assert [row["version"] for row in some.json["versions"]] == [made[20], made[19]]
    assert "--limit 20" in some.err
    for limit in ("21", "2000"):
        whole = run("history", *names, "--limit", limit, "--json")
        assert [row["version"] for row in whole.json["versions"]] == made[::-1]
        assert whole.err == ""
    for limit in ("0", "-1", "x", "", "9" * 40):
        refused = run("history", *names, f"--limit={limit}")
        assert (refused.code, "Invalid value for '--limit'" in refused.err) == (2, True)


# --- help -----------------------------------------------------------------------------


def test_help_teaches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    overview = run("--help").out
    for name in ("serve", "list", "get", "put", "edit", "delete", "history", "diff", "copy"):
        assert f"\n  {name} " in overview
        text = run(name, "--help").out
        assert "Examples:\n  pyfly-config " in text
        assert max(map(len, text.splitlines())) <= 100
    assert "3    the condition does not hold" in overview


# --- db -------------------------------------------------------------------------------


def test_a_store_without_tables_has_nothing_to_upgrade(run: Run, store: Path) -> None:
    done = run("db", "upgrade", store)
    assert (done.code, done.out) == (1, "")
    assert "FilesystemConfigBackend does not support upgrades: it has no tables" in done.err
    assert run("db").code == 2


def test_an_upgrade_says_what_it_did(run: Run, plain: Any) -> None:
    steps = [["0001", "0002"], [], []]

    async def upgrade() -> list[str]:
        return steps.pop(0)

    plain.upgrade = upgrade
    assert run("db", "upgrade", "plain:").out == "upgraded to schema 0002\n"
    assert run("db", "upgrade", "plain:").out == "the schema is up to date\n"
    assert run("db", "upgrade", "plain:", "--json").json == {"steps": []}
