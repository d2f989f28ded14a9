"""What was probably meant: misspelt names, wrong directories, bundles that are not there."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._stores import misplaced_files
from pyfly.config_cli._stores.lost_text import has_comments
from pyfly.config_cli._stores.misplaced_files import (
    describe_misplaced_files,
    report_misplaced_files,
)
from pyfly.config_server import InMemoryConfigBackend

Run = Callable[..., Any]

# --- commands, options, schemes -------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("lst", "STORE"), "did you mean 'list'?"),
        (("sevre", "STORE"), "did you mean 'serve'?"),
        (("db", "upgrad", "STORE"), "did you mean 'upgrade'?"),
        (("config", "show"), "there is no command 'config'; did you mean 'settings show'?"),
        (("config",), "did you mean 'settings'?"),
        (("config", "secret"), "did you mean 'settings'?"),
        (("serve", "--prot", "9000"), "there is no option '--prot'; did you mean '--port'?"),
        (("serve", "--prot=9000"), "there is no option '--prot'; did you mean '--port'?"),
        (("list", "STORE", "--lable", "next"), "did you mean '--label'?"),
        (("copy", "STORE", "STORE", "--dryrun"), "did you mean '--dry-run'?"),
        (
            ("put", "STORE", "a", "b", "--file", "-", "--format", "ymal"),
            "is not one of 'yaml', 'json'",
        ),
        (("list", "sqllite:///config.db"), "did you mean 'sqlite:'?"),
        (("list", "STROE"), "did you mean 'store'?"),
        (("get", "STORE", "orders", "prdo"), "did you mean: orders prod\n"),
        (("get", "STORE", "orders", "prod", "--label", "nxt"), "mean: orders prod --label next\n"),
        (("diff", "STORE", "orders", "prod", "--to-profile", "dve"), "did you mean: orders dev\n"),
    ],
)
def test_a_misspelt_name_is_asked_about(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(store.parent)
    done = run(*({"STORE": "store", "STROE": "stroe"}.get(word, word) for word in argv))
    assert done.code in {2, 4}
    assert said in done.err


def test_nothing_is_suggested_for_what_is_not_alike(run: Run, store: Path) -> None:
    for argv in (("zzzzz",), ("list", store, "--zzzzz"), ("list", store, "zzzzz")):
        done = run(*argv)
        assert done.code == 2
        assert "did you mean" not in done.err
        assert "zzzzz" in done.err or "1 argument too many" in done.err


def test_no_other_bundle_is_suggested_for_a_name_that_is_right(run: Run, store: Path) -> None:
    for names in (("orders", "qa"), ("billing", "prod"), ("orders", "dev", "--label", "next")):
        done = run("get", store, *names)
        assert (done.code, "did you mean" in done.err) == (4, False)


def test_what_follows_a_misspelt_option_is_not_shown(run: Run, store: Path) -> None:
    for argv in (
        ("serve", "--token", "marker"),
        ("serve", "--token=marker"),
        ("serve", "--token", "-marker"),
        ("serve", "--token", "--marker"),
        ("encrypt", "a", "marker"),
        ("decrypt", "--settings", "x", "a", "marker"),
        ("delete", store, "orders", "prod", "password=marker", "--expect", "any"),
        ("put", store, "orders", "prod", "--lable", "next", "password=marker"),
        ("get", store, "orders", "prod", "--password", "marker"),
        ("put", store, "orders", "prod", "marker"),
        ("list", "//user:marker@host/database"),
    ):
        done = run(*argv)
        assert done.code == 2
        assert "marker" not in done.err + done.out


def test_an_option_that_is_a_setting_is_told_by_its_variable(run: Run, store: Path) -> None:
    done = run("serve", store, "--token", "marker")
    assert done.err.endswith("; set PYFLY_CONFIG_SERVER_TOKEN in the environment\n")
    assert "did you mean" not in run("list", store, "--token", "marker").err


def test_what_is_to_be_set_may_stand_behind_options(run: Run, store: Path) -> None:
    behind = ("q=1", "--label", "next", "r=2", "--json", "s=3", "--", "-t=4")
    assert run("put", store, "orders", "prod", *behind).code == 0
    assert run("put", store, "orders", "prod", "--label", "next", "u=5").code == 0
    done = run("get", store, "orders", "prod", "--label", "next", "--json").json
    changed = {"q": 1, "r": 2, "s": 3, "-t": 4, "u": 5}
    assert changed.items() <= done["properties"].items()


# --- directories ----------------------------------------------------------------------


def test_files_without_a_directory_of_a_label_are_told(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flat = f"{(store / 'main').as_uri()}?layout=spring"
    for name in ("store/main", "./store/main/", str(store / "main"), "file:store/main"):
        told = describe_misplaced_files(name)
        assert told is not None
        assert "(orders-dev.json, orders-prod.yaml); each label is a directory" in told
        assert f"where 'main' is a label, or {flat!r}?" in told
    assert "Did you mean 'store', where" in str(describe_misplaced_files("store/main"))
    for argv in (("list",), ("get", "orders", "prod"), ("copy", tmp_path / "to")):
        (tmp_path / "to").mkdir(exist_ok=True)
        done = run(argv[0], "store/main", *argv[1:])
        assert "files lie directly in 'store/main' and are not served" in done.err
    assert describe_misplaced_files(flat) is None
    assert run("list", flat, "--json").json["bundles"] != []
    assert describe_misplaced_files("store") is None


def test_a_repository_of_spring_is_told_beside_directories(store: Path) -> None:
    (store / "application.yml").write_text("a: 1\n", encoding="utf-8")
    told = describe_misplaced_files(str(store))
    assert told is not None
    assert told.endswith(f"Did you mean '{store.as_uri()}?layout=spring'?")
    assert "(application.yml)" in told


def test_a_label_with_slashes_is_served(tmp_path: Path) -> None:
    (tmp_path / "feature/x").mkdir(parents=True)
    (tmp_path / "feature/x/orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    assert describe_misplaced_files(str(tmp_path)) is None


def test_a_look_at_a_large_tree_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"d{number}" / "e").mkdir(parents=True)
    looked: list[Path] = []
    real = misplaced_files._entries
    monkeypatch.setattr(misplaced_files, "_MAX_ENTRIES", 5)
    monkeypatch.setattr(
        misplaced_files, "_entries", lambda path: (looked.append(path), real(path))[1]
    )
    assert "there are no bundles" in str(describe_misplaced_files(str(tmp_path)))
    assert len(looked) < 15


def test_a_repository_of_git_is_no_label(store: Path) -> None:
    (store / "main/.git").mkdir()
    assert "is a label" not in str(describe_misplaced_files(str(store / "main")))


def test_a_directory_without_bundles_is_told(run: Run, store: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "main").mkdir(parents=True)
    assert describe_misplaced_files(str(empty)) == (
        f"there are no bundles in '{empty}': no directory in it holds <application>-<profile>.yaml"
    )
    done = run("list", empty)
    assert (done.code, done.out.splitlines()) == (0, ["LABEL  APPLICATION  PROFILE  VERSION"])
    assert "there are no bundles in" in done.err


def test_a_filter_that_matches_nothing_is_told(run: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    for options, said in (
        (("--label", "nxet"), "no bundle has the label 'nxet'; did you mean 'next'?"),
        (("--application", "order"), "the application 'order'; did you mean 'orders'?"),
        (("--profile", "zz"), "no bundle has the profile 'zz'\n"),
        (("--label", "next", "--profile", "dev"), "no bundle matches\n"),
    ):
        listed = run("list", store, *options)
        assert (listed.code, said in listed.err) == (0, True)
        copied = run("copy", store, tmp_path / "to", *options)
        assert (copied.code, said in copied.err) == (4, True)
    assert run("copy", tmp_path / "to", store).code == 0


def test_a_flat_directory_of_directories_is_told(store: Path) -> None:
    told = describe_misplaced_files(f"{store.as_uri()}?layout=spring")
    assert told is not None
    assert told.endswith(f"only directories (main, next); did you mean '{store.as_uri()}'?")


def test_hidden_files_and_other_stores_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".pre-commit-config.yaml").write_text("", encoding="utf-8")
    (tmp_path / "..data").mkdir()
    assert "lie directly" not in str(describe_misplaced_files(str(tmp_path)))
    for name in ("memory:", "sqlite:///x.db", "nowhere", "file:", __file__, "a\0b", "file://[x"):
        assert describe_misplaced_files(name) is None


def test_serve_tells_it_for_each_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_misplaced_files(("memory:", str(store), f"{store}/main"))
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"files lie directly in '{store}/main'" in told.err


# --- labels ---------------------------------------------------------------------------


def test_a_new_label_is_told(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("put", store, "orders", "prod", "a=1", "--label", "nxet")
    assert (done.code, done.err) == (0, "the label 'nxet' is new; did you mean 'next'?\n")
    assert run("put", store, "orders", "prod", "a=2", "--label", "nxet").err == ""
    done = run("put", store, "orders", "prod", "a=1", "--label", "release-1.4", "--json")
    assert (done.json["label"], done.err) == ("release-1.4", "the label 'release-1.4' is new\n")
    editor = f"{sys.executable} -c \"import sys; open(sys.argv[1], 'w').write('a: 5')\""
    monkeypatch.setenv("VISUAL", editor)
    done = run("edit", store, "orders", "prod", "--label", "release-1.5")
    assert "the label 'release-1.5' is new; did you mean 'release-1.4'?" in done.err


def test_the_first_bundle_needs_no_remark(run: Run, tmp_path: Path, plain: Any) -> None:
    assert run("put", tmp_path, "orders", "prod", "a=1").err == ""
    assert run("put", "plain:", "orders", "prod", "a=1", "--expect", "any").err == ""
    again = run("put", "plain:", "orders", "prod", "a=1", "--label", "x", "--expect", "any")
    assert again.err == "the label 'x' is new\n"


# --- what a save loses ----------------------------------------------------------------


COMMENTED = "# pool of the shop\ndb:\n  pool: 5   # tuned\nhosts:\n  - a\n"
UNEDITABLE = "a: |+\n  x\nb: |\n  y\n\n# c\nz: 1\n"
"""The blank line behind `b` would become a part of `a`."""


def test_a_put_and_an_editor_keep_comments(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = store / "main/orders-prod.yaml"
    file.write_text(COMMENTED, encoding="utf-8")
    assert run("put", store, "orders", "prod", "db.pool=6", "hosts[1]=b").err == ""
    text = COMMENTED.replace("5", "6") + "  - b\n"
    assert file.read_text(encoding="utf-8") == text
    monkeypatch.setenv("EDITOR", "sed -i s/6/7/")
    assert run("edit", store, "orders", "prod").err == ""
    assert file.read_text(encoding="utf-8") == text.replace("6", "7")
    given = tmp_path / "new.json"
    given.write_text('{"hosts": ["a", "b"], "db": {"pool": 8}}', encoding="utf-8")
    assert run("put", store, "orders", "prod", "--file", given, "--expect", "any").err == ""
    assert file.read_text(encoding="utf-8") == text.replace("6", "8")


def test_lost_comments_are_told_before(run: Run, store: Path) -> None:
    file = store / "main/orders-prod.yaml"
    for put in (("--remove", "b"), ("--remove", "b", "--expect", "wrong")):
        file.write_text(UNEDITABLE, encoding="utf-8")
        done = run("put", store, "orders", "prod", *put)
        assert done.err.startswith(
            "main/orders-prod.yaml: a part of it is written anew and loses its comments"
        )
    assert file.read_text(encoding="utf-8") == UNEDITABLE  # the condition did not hold


def test_a_text_that_is_edited_loses_nothing(run: Run, store: Path) -> None:
    assert run("put", store, "orders", "dev", "a=3").err == ""
    assert run("put", store, "billing", "dev", "a=4").err == ""
    (store / "main/billing-dev.yaml").write_text("a: [", encoding="utf-8")
    given = store.parent / "new.yaml"
    given.write_text("a: '#1'\n", encoding="utf-8")
    done = run("put", store, "billing", "dev", "--file", given, "--expect", "any")
    assert (done.code, done.err) == (0, "")


def test_a_properties_file_is_changed_and_not_read_as_a_bundle(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = store / "main/plain-prod.properties"
    file.write_text("# c\na = 1\n", encoding="utf-8")
    assert run("put", store, "plain", "prod", "a=2").code == 0
    monkeypatch.setenv("EDITOR", "sed -i s/2/3/")
    assert run("edit", store, "plain", "prod").code == 0
    assert file.read_text(encoding="utf-8") == "# c\na = 3\n"
    done = run("put", store, "new", "prod", "--file", file)
    assert done.code == 2
    assert done.err.endswith("is a .properties file; give the bundle as YAML or JSON\n")


def test_a_change_of_one_of_several_documents_is_stored(run: Run, store: Path) -> None:
    file = store / "main/orders-prod.yaml"
    text = "a: 1 # all\n---\nspring.config.activate.on-profile: eu\nb: 2\n"
    file.write_text(text, encoding="utf-8")
    assert run("put", store, "orders", "prod", "b=3").code == 0
    assert file.read_text(encoding="utf-8") == text.replace("2", "3")
    done = run("put", store, "orders", "prod", "new=3")
    assert done.code == 1
    assert "none of its documents has the key 'new'" in done.err
    assert file.read_text(encoding="utf-8") == text.replace("2", "3")


def test_comments_of_a_given_file_are_told(run: Run, store: Path, tmp_path: Path) -> None:
    given = tmp_path / "new.yaml"
    given.write_text(COMMENTED, encoding="utf-8")
    done = run("put", store, "billing", "prod", "--file", given)
    assert done.err == "comments of the file are not stored\n"
    assert run("put", "memory:", "a", "b", "a=1").err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "options", "code"), [("y\n", (), 0), ("\n", (), 1), ("", (), 1), ("", ("--yes",), 0)]
)
def test_a_terminal_is_asked_before_comments_are_lost(
    run: Run,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    options: tuple[str, ...],
    code: int,
) -> None:
    file = store / "main/orders-prod.yaml"
    file.write_text(UNEDITABLE, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    assert run("put", store, "orders", "prod", "--remove", "b", *options).code == code
    assert "loses its comments and layout" in shown.getvalue()
    assert ("Go on? [y/N]" in shown.getvalue()) == (not options)
    assert ("nothing was stored" in shown.getvalue()) == (code == 1)
    assert (file.read_text(encoding="utf-8") == UNEDITABLE) == (code == 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a\n", True),
        ("a: 1 # b\n", True),
        ("  # b\n", True),
        ("a: b#c\n", False),
        ("a: '#1'\n", False),
        ("", False),
    ],
)
def test_comments_are_recognised(text: str, expected: bool) -> None:
    assert has_comments(text.encode(), suffix=".yaml") == expected
    assert not has_comments(text.encode(), suffix=".json")


# --- what is not there ----------------------------------------------------------------


def test_deleting_what_is_not_there_says_so(
    run: Run, store: Path, memory: InMemoryConfigBackend
) -> None:
    for where in (str(store), "memory:"):
        for expect in ("any", "absent", "17"):
            done = run("delete", where, "orders", "nobody", "--expect", expect)
            assert (done.code, done.out) == (4, "")
            assert done.err == "orders/nobody/main: was not there\n"
        run("put", where, "orders", "qa", "a=1")
        done = run("delete", where, "orders", "qa", "--expect", "absent")
        assert done.code == 3
        assert run("delete", where, "orders", "qa", "--expect", "any").code == 0
        assert run("delete", where, "orders", "qa", "--expect", "any").code == 4
    assert "Ends with 4 if it was not there" in run("delete", "--help").out


def test_a_broken_bundle_makes_a_listing_fail_after_the_rest(run: Run, store: Path) -> None:
    (store / "main/billing-prod.yaml").write_text("a: [", encoding="utf-8")
    done = run("list", store, "--json")
    assert (done.code, len(done.json["bundles"])) == (1, 4)
    assert run("list", store, "--application", "orders").code == 0
