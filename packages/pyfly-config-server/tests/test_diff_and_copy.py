from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._commands.diff_bundles import compare
from pyfly.config_core import BackendUnavailableError
from pyfly.config_server import ConfigSource, InMemoryConfigBackend

Run = Callable[..., Any]

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


def outcomes(done: Any) -> dict[str, str]:
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
        "orders/dev/main": "left",
        "orders/prod/main": "unchanged",
        "orders/prod/next": "created",
    }
    assert run("get", target, "orders", "dev").out == "a: other\n"
    done = run("copy", store, target)
    assert "left alone: orders/dev/main holds other content" in done.err
    assert done.out == (
        "0 created, 0 updated, 2 unchanged, 1 left alone (--overwrite replaces them)\n"
    )
    assert outcomes(run("copy", store, target, "--overwrite", "--json")) == {
        "orders/dev/main": "updated",
        "orders/prod/main": "unchanged",
        "orders/prod/next": "unchanged",
    }
    assert run("get", target, "orders", "dev").out == "a: 2\n"


def test_a_dry_run_stores_nothing(run: Run, store: Path, target: Path) -> None:
    done = run("copy", store, target, "--dry-run")
    assert (done.code, [*target.iterdir()]) == (0, [])
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[:5] == [
        ["OUTCOME", "LABEL", "APPLICATION", "PROFILE"],
        ["created", "main", "orders", "dev"],
        ["created", "main", "orders", "prod"],
        ["created", "next", "orders", "prod"],
        [],
    ]
    assert done.out.endswith("\n\n3 created, 0 updated, 0 unchanged\n")
    assert "dry run" in done.err


def test_a_dry_run_names_what_would_become_of_every_bundle(
    run: Run, store: Path, target: Path
) -> None:
    run("copy", store, target, "--label", "main")
    run("put", target, "orders", "dev", "a=other")
    for options, code, outcome in (((), 3, "left"), (("--overwrite",), 0, "updated")):
        done = run("copy", store, target, "--dry-run", *options)
        assert done.code == code
        assert [line.split() for line in done.out.splitlines()[1:4]] == [
            [outcome, "main", "orders", "dev"],
            ["unchanged", "main", "orders", "prod"],
            ["created", "next", "orders", "prod"],
        ]
    assert run("get", target, "orders", "dev").out == "a: other\n"


def test_a_broken_bundle_is_told_and_the_others_are_copied(
    run: Run, store: Path, target: Path
) -> None:
    (store / "main/billing-prod.yaml").write_text("a: [", encoding="utf-8")
    done = run("copy", store, target)
    assert done.code == 3
    assert "not copied: billing/prod/main: main/billing-prod.yaml, line 2" in done.err
    assert run("get", target, "orders", "prod").code == 0
    assert done.out == "3 created, 0 updated, 0 unchanged, 1 not copied\n"
    assert run("copy", store, target, "--application", "orders").code == 0


def test_what_somebody_stores_meanwhile_is_not_overwritten(
    run: Run, store: Path, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("put", "memory:", "orders", "dev", "before=true").code == 0
    real = memory.fetch

    async def fetch(*key: str) -> ConfigSource | None:
        found = await real(*key)
        names = dict(zip(("application", "profile", "label"), key, strict=True))
        await memory.save(ConfigSource(**names, properties={"faster": True}))
        return found

    monkeypatch.setattr(memory, "fetch", fetch)
    done = run("copy", store, "memory:", "--overwrite", "--profile", "dev", "--json")
    assert (done.code, outcomes(done)) == (3, {"orders/dev/main": "left"})


def test_a_store_that_fails_stops_the_copy_and_says_how_far_it_came(
    run: Run, store: Path, memory: InMemoryConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = memory.commit, [0]

    async def commit(*args: Any, **options: Any) -> str:
        calls[0] += 1
        if calls[0] in {2, 3}:  # the copies that run together
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
    run: Run, store: Path, plain: Any
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
