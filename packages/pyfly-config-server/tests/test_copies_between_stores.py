"""Copies between every two kinds of store: what is not copied is named, and the rest is equal."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._copying.plan import StoreSemantics, plan_copies
from pyfly.config_core import ConfigKey

Run = Callable[..., Any]
KINDS = ("labels", "spring", "sqlite", "s3", "s3-spring", "memory", "three methods")
EXAMPLE = Path(__file__).parents[3] / "docs/examples/config"
SPRING = {
    "application.yml": "shared: base\nlist: [1, 2]\n",
    "application-prod.yml": "shared: prod\n",
    "orders.yml": "who: base\nplaceholder: ${who}-${missing:x}\n",
    "orders-prod.yml": "who: prod\nlist: [9]\n",
    "orders-eu.yaml": "who: eu\n",
    "billing.properties": "who=base\nempty=\n",
}
KEEPS_BASES = {"labels", "spring", "sqlite", "s3", "s3-spring", "memory"}


def fill(url: str, files: dict[str, str]) -> None:
    root = Path(url.removeprefix("file://").partition("?")[0])
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(0, 0))


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.parametrize("through", KINDS)
@pytest.mark.parametrize("to", KINDS)
def test_an_example_survives_every_chain_of_two_stores(
    run: Run, place: Callable[[str], str], through: str, to: str
) -> None:
    """Nothing is left behind where both stores know the same; else all of it is named."""
    source = place("labels")
    shutil.copytree(EXAMPLE / "main", Path(source.removeprefix("file://")) / "main")
    before, middle, target = source, place(through), place(to)
    for store in (middle, target):
        done = run("copy", before, store, "--overwrite", "--verify", "--json")
        assert all(row["outcome"] == "created" for row in done.json["bundles"]), done.out
        assert done.json["notCopied"] == []
        assert (done.code, done.json["differences"]) == (0, []), done.out
        before = store


@pytest.mark.slow
@pytest.mark.parametrize("to", KINDS)
def test_a_repository_of_spring_is_copied_whole_or_told(
    run: Run, place: Callable[[str], str], to: str
) -> None:
    source, target = place("spring"), place(to)
    fill(source, SPRING)
    done = run("copy", source, target, "--overwrite", "--verify", "--json")
    assert all(row["outcome"] == "created" for row in done.json["bundles"]), done.out
    assert (done.code, done.json["differences"]) == (0, []), done.out
    bases = {
        row["application"]: row.get("to") for row in done.json["bundles"] if row["profile"] == "-"
    }
    kept = to in KEEPS_BASES
    assert bases == {
        name: None if kept else f"{name}/default/main"
        for name in ("application", "billing", "orders")
    }


def test_what_cannot_be_copied_is_named_and_ends_with_3(
    run: Run, place: Callable[[str], str]
) -> None:
    source, target = place("spring"), place("labels")
    fill(
        source,
        SPRING
        | {
            "orders-default.yml": "who: default\n",
            "customers-service.yml": "who: base\n",
            "several.yml": "a: 1\n---\na: 2\n",
            "twice.yml": "a: 1\n",
            "twice.properties": "b=2\n",
            "broken.yml": "a: [\n",
            "nginx.conf": "server {}\n",
            "certs/ca.pem": "x\n",
            "plain.json": "{}\n",
        },
    )
    done = run("copy", source, target, "--verify", "--json")
    assert done.code == 3
    left = {
        "/".join((row["application"], row["profile"])): row["reason"]
        for row in done.json["bundles"]
        if row["outcome"] == "not-copied"
    }
    assert [*left] == [
        "broken/-",
        "customers-service/-",
        "orders/default",
        "several/-",
        "twice/-",
    ]
    assert "counts for the profile 'default' only" in left["orders/default"]
    files = [item["path"] for item in done.json["notCopied"]]
    assert files == ["certs/ca.pem", "nginx.conf", "plain.json"]
    differing = {row["application"] for row in done.json["differences"]}
    assert differing == {"broken", "customers-service", "orders", "several", "twice"}
    told = run("copy", source, target)
    assert told.code == 3
    assert told.out == "0 created, 0 updated, 6 unchanged, 8 not copied\n"
    assert "not copied: main/nginx.conf: plain files are not copied" in told.err


def test_a_label_that_cannot_be_read_is_named_by_copy_and_list(
    run: Run, place: Callable[[str], str]
) -> None:
    source = place("labels")
    fill(source, {"main/orders-prod.yaml": "a: 1\n"})
    root = Path(source.removeprefix("file://"))
    (root / "outside").symlink_to(root.parent)  # a label that leaves the root; root may read all
    done = run("copy", source, place("labels"), "--json")
    assert done.code == 3
    (item,) = done.json["notCopied"]
    assert (item["label"], item["path"]) == ("outside", None)
    assert "a link out of the root" in item["reason"]
    listed = run("list", source)
    assert listed.code == 1
    assert "unreadable: outside: 'outside' is a link out of the root" in listed.err


def test_a_comparison_finds_what_differs_and_shows_no_value(
    run: Run, place: Callable[[str], str]
) -> None:
    one, other = place("labels"), place("sqlite")
    fill(one, {"main/orders-prod.yaml": "password: hunter2\na: 1\nb: 1.0\n"})
    assert run("copy", one, other, "--verify").code == 0
    run("put", other, "orders", "prod", "password=other", "b=1")
    done = run("copy", one, other, "--dry-run", "--verify")
    assert done.code == 3
    assert "differs: orders/prod/main: other values of password, b" in done.err
    assert "hunter2" not in done.out + done.err
    run("put", other, "billing", "dev", "c=1")
    done = run("copy", one, other, "--dry-run", "--verify", "--json")
    rows = {(row["application"], row["profile"]) for row in done.json["differences"]}
    assert rows == {("orders", "prod"), ("billing", "dev")}


def test_a_comparison_is_of_whole_labels(run: Run, place: Callable[[str], str]) -> None:
    done = run("copy", place("labels"), place("labels"), "--verify", "--application", "orders")
    assert done.code == 2
    assert "leave out --application and --profile" in done.err


def test_a_comparison_finds_what_shows_only_in_lists_and_under_other_profiles(
    run: Run, place: Callable[[str], str]
) -> None:
    one, other = place("labels"), place("labels")
    fill(one, {"main/a.yaml": "k: 1\n", "main/b-default.yaml": "k: 2\n"})
    fill(other, {"main/a-default.yaml": "k: 1\n", "main/b-default.yaml": "k: 2\n"})
    done = run("copy", one, other, "--dry-run", "--verify", "--json")  # /b,a is in another order
    rows = [(row["application"], row["profile"]) for row in done.json["differences"]]
    assert (done.code, rows) == (3, [("a", "-")])
    assert "lists of applications" in done.json["differences"][0]["difference"]

    one, other = place("labels"), place("labels")
    fill(one, {"main/a.yaml": "k: 1\n"})
    condition = "spring.config.activate.on-profile: qa & eu\n"  # no bundle has these profiles
    fill(other, {"main/a.yaml": "k: 1\n", "main/a-default.yaml": condition})
    done = run("copy", one, other, "--verify", "--json")
    assert done.code == 3
    assert {row["application"] for row in done.json["differences"]} == {"a"}


def test_a_file_that_requests_find_under_two_names_is_copied_to_files_only(
    run: Run, place: Callable[[str], str]
) -> None:
    source = place("labels")
    fill(source, {"main/my-app.yaml": "k: 1\n", "main/my-app-prod.yaml": "k: 2\n"})
    assert run("copy", source, place("spring"), "--verify").code == 0
    done = run("copy", source, place("sqlite"), "--json")
    assert done.code == 3
    left = [row for row in done.json["bundles"] if row["outcome"] == "not-copied"]
    assert [(row["application"], row["profile"]) for row in left] == [("my", "app")]
    assert "its file is read as 'my-app/-/main', too" in left[0]["reason"]


def test_bundles_of_which_one_would_replace_the_other_are_left(
    run: Run, place: Callable[[str], str]
) -> None:
    source, target = place("sqlite"), place("spring")
    run("put", source, "a", "b-c", "k=1")
    run("put", source, "a-b", "c", "k=2")
    done = run("copy", source, target, "--overwrite", "--json")
    assert done.code == 3
    assert {row["outcome"] for row in done.json["bundles"]} == {"not-copied"}
    assert all("would read its file as" in row["reason"] for row in done.json["bundles"])
    assert run("list", target).out.splitlines()[1:] == []


def test_a_guess_is_named_where_the_target_does_not_keep_names_of_files(
    run: Run, place: Callable[[str], str]
) -> None:
    source = place("spring")
    fill(source, {"orders-prod.yml": "k: 1\n"})  # nothing says that it is a profile
    done = run("copy", source, place("sqlite"))
    assert done.code == 0
    assert "guessed: orders-prod/-/main: the names of these files" in done.err
    assert run("copy", source, place("sqlite"), "--json").json["guessed"] == ["orders-prod/-/main"]
    assert "guessed" not in run("copy", source, place("labels")).err
    listed = run("copy", f"{source}&profiles=prod", place("sqlite"), "--json").json
    assert "guessed" not in listed
    assert [row["application"] for row in listed["bundles"]] == ["orders"]


def test_a_file_that_cannot_be_read_does_not_keep_others_from_being_copied(
    run: Run, place: Callable[[str], str]
) -> None:
    source, target = place("spring"), place("sqlite")
    fill(source, {"a.yml": "k: 1\n", "c.yml": "k: 2\n", "d.yml": "k: 3\n", "d.yaml": "k: 4\n"})
    Path(source.removeprefix("file://").partition("?")[0], "b.yml").symlink_to("/etc/hostname")
    done = run("copy", source, target, "--verify", "--json")
    assert done.code == 3
    outcomes = {row["application"]: row["outcome"] for row in done.json["bundles"]}
    expected = {"a": "created", "b": "not-copied", "c": "created", "d": "not-copied"}
    assert outcomes == expected
    reasons = {row["application"]: row.get("reason") for row in done.json["bundles"]}
    assert "is a link out of the root" in reasons["b"]
    assert "the bundle lies in several files: d.yaml, d.yml" in reasons["d"]
    assert {row["application"] for row in done.json["differences"]} == {"b", "d"}


def test_what_a_store_holds_already_is_unchanged_although_it_would_not_save_it(
    run: Run, place: Callable[[str], str]
) -> None:
    source, target = place("spring"), place("labels")
    fill(source, {"customers-service.yml": "k: 1\n"})
    fill(target, {"main/customers-service.yaml": "k: 1\n"})
    done = run("copy", source, target, "--verify")
    assert (done.code, done.out.splitlines()[0]) == (0, "0 created, 0 updated, 1 unchanged")
    fill(target, {"main/customers-service.yaml": "k: 2\n"})
    assert run("copy", source, target).code == 3


def test_a_dry_run_refuses_what_no_store_keeps(run: Run, place: Callable[[str], str]) -> None:
    source, plain = place("labels"), place("labels")
    fill(source, {"main/monitor-x.yaml": "k: 1\n"})  # the name of a route
    fill(plain, {"main/orders-x.yaml": "k: 1\n"})
    for options in ([], ["--dry-run"]):
        done = run("copy", source, place("memory"), "--json", *options)
        (row,) = done.json["bundles"]
        assert (done.code, row["outcome"]) == (3, "not-copied")
        assert "not acceptable" in row["reason"]
        done = run("copy", plain, place("three methods"), *options)
        assert done.code == 1
        assert "does not support conditional saves" in done.err


def test_every_file_that_a_request_finds_is_listed(run: Run, place: Callable[[str], str]) -> None:
    longest = f"{'a' * 100}-{'b' * 60}"
    for kind, root in (("labels", "main/"), ("spring", "")):
        source = place(kind)
        names = ("orders-", "a--", "a-_x", longest)
        fill(source, {f"{root}{name}.yaml": "k: 1\n" for name in names})
        listed = run("list", source, "--json").json["bundles"]
        found = {(row["application"], row["profile"]) for row in listed}
        expected = {(name, "-") for name in names[:3]} | {("a" * 100, "b" * 60)}
        assert found == expected
        assert run("get", source, "orders-", "-").code == 0


def test_plain_files_of_a_label_without_bundles_are_named_and_lower_labels_are_none(
    run: Run, place: Callable[[str], str]
) -> None:
    source = place("spring")
    fill(source, {"certs/ca.pem": "x\n"})
    done = run("copy", source, place("labels"), "--json")
    assert (done.code, [item["path"] for item in done.json["notCopied"]]) == (3, ["certs/ca.pem"])
    source = place("labels")
    files = {"main/a.yaml": "k: 1\n", "main/sub/b.yaml": "k: 2\n", "main/sub/b.txt": "x\n"}
    fill(source, files)
    done = run("copy", source, place("sqlite"), "--json")
    assert {row["label"] for row in done.json["bundles"]} == {"main", "main/sub"}
    items = [(item["label"], item["path"]) for item in done.json["notCopied"]]
    assert items == [("main", "sub/b.txt"), ("main/sub", "b.txt")]


def key(application: str, profile: str, label: str = "main") -> ConfigKey:
    return ConfigKey(application=application, profile=profile, label=label)


LABELS = StoreSemantics(has_base_bundles=True, default_is_base=True)
SPRINGS = StoreSemantics(has_base_bundles=True, default_is_base=False)
PLAIN = StoreSemantics(has_base_bundles=False, default_is_base=True)


@pytest.mark.parametrize(
    ("source", "target", "keys", "expected"),
    [
        (LABELS, LABELS, "a/- a/default a/x", "a/- a/default a/x"),
        (SPRINGS, SPRINGS, "a/- a/default a/x", "a/- a/default a/x"),
        (LABELS, SPRINGS, "a/default b/default b/x", "a/- b/- b/x"),
        (LABELS, SPRINGS, "a/default b/- b/x", "left b/- b/x"),
        (SPRINGS, LABELS, "a/- a/default a/x", "a/- left a/x"),
        (LABELS, PLAIN, "a/- a/x", "a/default a/x"),
        (LABELS, PLAIN, "a/- b/default", "left b/default"),
        (SPRINGS, PLAIN, "a/- b/default", "a/default left"),
        (PLAIN, SPRINGS, "a/default a/x", "a/- a/x"),
        (PLAIN, LABELS, "a/default a/x", "a/default a/x"),
    ],
)
def test_a_bundle_changes_its_profile_only_where_no_document_changes(
    source: StoreSemantics, target: StoreSemantics, keys: str, expected: str
) -> None:
    names = [key(*name.split("/")) for name in keys.split()]
    plan = plan_copies(names, source=source, target=target)
    told = [
        "left" if one.target is None else f"{one.target.application}/{one.target.profile}"
        for one in plan
    ]
    assert told == expected.split()
    assert all(one.reason for one in plan if one.target is None)


def test_only_the_bundles_of_the_same_label_count() -> None:
    names = [key("a", "default"), key("b", "-", "next")]
    plan = plan_copies(names, source=LABELS, target=SPRINGS)
    assert [one.target for one in plan] == [key("a", "-"), key("b", "-", "next")]
