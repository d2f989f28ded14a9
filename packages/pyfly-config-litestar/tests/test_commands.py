"""The commands on stores, in this process; `tests-integration` runs the real command."""

import io
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli import _stores, main
from pyfly.config_cli._diff import compare
from pyfly.config_cli._output import table
from pyfly.config_core import BackendUnavailableError
from pyfly.config_server import Bundles, ConfigSource, InMemoryConfigBackend, open_backend

Run = Callable[..., "Done"]


class Done:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: object) -> Done:
        try:
            code = main([*map(str, argv)])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    (root / "main").mkdir(parents=True)
    (root / "next").mkdir()
    (root / "main/orders-prod.yaml").write_text("a: 1\nb: {c: [x, y]}\n", encoding="utf-8")
    (root / "main/orders-dev.json").write_text('{"a": 2}\n', encoding="utf-8")
    (root / "next/orders-prod.yaml").write_text("a: 1\nb: {c: [x]}\nd: true\n", encoding="utf-8")
    return root


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemoryConfigBackend:
    """Put one store with a history behind every name `memory:`."""
    backend = InMemoryConfigBackend()
    real = _stores.opened

    @asynccontextmanager
    async def opened(name: str) -> AsyncGenerator[Bundles]:
        if name == "memory:":
            yield Bundles(backend)
        else:
            async with real(name) as bundles:
                yield bundles

    monkeypatch.setattr(_stores, "opened", opened)
    return backend


class Plain:
    """A store with the three methods."""

    def __init__(self) -> None:
        self.stored: dict[str, ConfigSource] = {}

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        return self.stored.get(f"{application}/{profile}/{label}")

    async def save(self, source: ConfigSource) -> None:
        self.stored[str(source.key)] = source

    async def list(self) -> list[ConfigSource]:
        return [*self.stored.values()]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Plain:
    backend = Plain()
    real = open_backend
    monkeypatch.setattr(
        _stores, "open_backend", lambda url: backend if url == "plain:" else real(url)
    )
    return backend


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
    assert done.code == 0
    assert "unreadable: billing/prod/main: main/billing-prod.yaml, line" in done.err


def test_list_is_filtered_and_told_to_machines(run: Run, store: Path) -> None:
    (store / "next/orders-qa.yaml").write_text("a: [", encoding="utf-8")
    rows = run("list", store, "--label", "next", "--application", "orders", "--json").json
    assert [row["profile"] for row in rows["bundles"]] == ["prod", "qa"]
    assert "error" in rows["bundles"][1]
    assert run("list", store, "--profile", "dev", "--json").json["bundles"][0]["label"] == "main"
    assert run("list", store, "--application", "nobody", "--json").json == {"bundles": []}


def test_a_table_keeps_control_characters_from_the_terminal() -> None:
    assert table(("A", "B"), [("\x1b[31mred\n", "x")]).splitlines()[1] == "�[31mred�  x"


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
        (("get", "STORE"), 2, "the following arguments are required: APPLICATION, PROFILE"),
        (("fetch", "STORE"), 2, "invalid choice"),
        ((), 2, "required"),
        (("history", "STORE", "orders", "prod"), 1, "FilesystemConfigBackend does not support"),
        (("rollback", "STORE", "orders", "prod", "1"), 1, "does not support history"),
        (("delete", "STORE", "orders", "prod"), 2, "--expect"),
        (("delete", "STORE", "orders", "prod", "--expect", "absent"), 3, "is at version"),
        (("put", "STORE", "orders", "prod"), 2, "say either --file FILE"),
        (("put", "STORE", "orders", "prod", "a=1", "--file", "x"), 2, "say either --file FILE"),
        (("put", "STORE", "orders", "prod", "a"), 2, "'a' is no assignment; write KEY=VALUE"),
        (("put", "STORE", "orders", "prod", "=a"), 2, "is no assignment"),
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


# --- edit -----------------------------------------------------------------------------


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


# --- diff -----------------------------------------------------------------------------


def test_diff_between_profiles_labels_and_stores(run: Run, store: Path, tmp_path: Path) -> None:
    names = (store, "orders", "prod")
    done = run("diff", *names, "--to-profile", "dev")
    assert (done.code, done.out) == (0, '- a: 1\n+ a: 2\n- b.c[0]: "x"\n- b.c[1]: "y"\n')
    assert run("diff", *names, "--to-label", "next", "--json").json == {
        "removed": {"b.c[1]": "y"},
        "added": {"d": True},
        "changed": {},
    }
    other = tmp_path / "other"
    other.mkdir()
    run("copy", store, other)
    assert run("diff", *names, "--to-store", other, "--exit-code").code == 0
    run("put", other, "orders", "prod", "a=1.0")
    done = run("diff", *names, "--to-store", other, "--exit-code")
    assert (done.code, done.out) == (3, "- a: 1\n+ a: 1.0\n")


def test_values_of_other_types_differ() -> None:
    assert compare({"a": 1, "b": True, "c": "1"}, {"a": 1.0, "b": 1, "c": "1"}) == {
        "a": (1, 1.0),
        "b": (True, 1),
    }


# --- copy -----------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def outcomes(done: Done) -> dict[str, str]:
    return {
        "/".join((row["application"], row["profile"], row["label"])): row["outcome"]
        for row in done.json["bundles"]
    }


def test_copy_goes_on_where_it_was_and_overwrites_nothing(
    run: Run, store: Path, target: Path
) -> None:
    assert outcomes(run("copy", store, target, "--label", "main", "--json")) == {
        "orders/dev/main": "created",
        "orders/prod/main": "created",
    }
    run("put", target, "orders", "dev", "a=other")
    done = run("copy", store, target, "--json")
    assert done.code == 3
    assert outcomes(done) == {
        "orders/dev/main": "differs",
        "orders/prod/main": "unchanged",
        "orders/prod/next": "created",
    }
    assert run("get", target, "orders", "dev").out == "a: other\n"
    done = run("copy", store, target)
    assert "differs: orders/dev/main" in done.err
    assert done.out.splitlines()[1].split()[:2] == ["unchanged", "2"]
    assert outcomes(run("copy", store, target, "--overwrite", "--json")) == {
        "orders/dev/main": "replaced",
        "orders/prod/main": "unchanged",
        "orders/prod/next": "unchanged",
    }
    assert run("get", target, "orders", "dev").out == "a: 2\n"


def test_a_dry_run_stores_nothing(run: Run, store: Path, target: Path) -> None:
    done = run("copy", store, target, "--dry-run")
    assert (done.code, [*target.iterdir()]) == (0, [])
    assert done.out.splitlines()[1].split()[:2] == ["created", "3"]
    assert "dry run" in done.err


def test_a_broken_bundle_is_told_and_the_others_are_copied(
    run: Run, store: Path, target: Path
) -> None:
    (store / "main/billing-prod.yaml").write_text("a: [", encoding="utf-8")
    done = run("copy", store, target)
    assert done.code == 1
    assert "failed: billing/prod/main: main/billing-prod.yaml, line 2" in done.err
    assert run("get", target, "orders", "prod").code == 0
    assert run("copy", store, target, "--application", "orders").code == 0


def test_what_somebody_stores_meanwhile_is_not_overwritten(
    run: Run, store: Path, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = memory.fetch

    async def fetch(*key: str) -> ConfigSource | None:
        found = await real(*key)
        names = dict(zip(("application", "profile", "label"), key, strict=True))
        await memory.save(ConfigSource(**names, properties={"faster": True}))
        return found

    monkeypatch.setattr(memory, "fetch", fetch)
    done = run("copy", store, "memory:", "--overwrite", "--profile", "dev", "--json")
    assert (done.code, outcomes(done)) == (3, {"orders/dev/main": "differs"})


def test_a_store_that_fails_stops_the_copy_and_says_how_far_it_came(
    run: Run, store: Path, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = memory.commit, [0]

    async def commit(*args: Any, **options: Any) -> str:
        calls[0] += 1
        if calls[0] == 2:
            raise BackendUnavailableError("the disk is gone")
        return await real(*args, **options)

    monkeypatch.setattr(memory, "commit", commit)
    done = run("copy", store, "memory:")
    assert done.code == 1
    assert "Stopped after 1 of 3" in done.err
    assert "the disk is gone" in done.err
    assert outcomes(run("copy", store, "memory:", "--json")) == {
        "orders/dev/main": "unchanged",
        "orders/prod/main": "created",
        "orders/prod/next": "created",
    }


def test_a_store_of_three_methods_is_read_and_written_on_demand(
    run: Run, store: Path, plain: Plain
) -> None:
    done = run("copy", store, "plain:")
    assert (done.code, plain.stored) == (1, {})
    assert "Plain does not support conditional saves" in done.err
    assert run("copy", store, "plain:", "--overwrite").code == 0
    assert sorted(plain.stored) == ["orders/dev/main", "orders/prod/main", "orders/prod/next"]
    done = run("put", "plain:", "orders", "dev", "a=3")
    assert (done.code, done.out) == (0, "orders/dev/main: stored\n")
    assert run("get", "plain:", "orders", "dev").out == "a: 3\n"
    assert (
        "does not support deleting"
        in run("delete", "plain:", "orders", "dev", "--expect", "any").err
    )
    assert run("list", "plain:").out.splitlines()[1].split() == ["main", "orders", "dev", "-"]


# --- help -----------------------------------------------------------------------------


def test_help_teaches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    overview = run("--help").out
    for name in ("serve", "list", "get", "put", "edit", "delete", "history", "diff", "copy"):
        assert f"    {name} " in overview
        text = run(name, "--help").out
        assert "examples:\n  pyfly-config " in text
        assert max(map(len, text.splitlines())) <= 100
    assert "3    the condition does not hold" in overview
