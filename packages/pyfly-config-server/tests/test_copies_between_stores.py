"""Copies between every two kinds of store: what is not copied is named, and the rest is equal."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pyfly.config_cli._copying.plan import StoreSemantics, plan_copies
from pyfly.config_cli._stores import opening
from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource, InMemoryConfigBackend, open_backend

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


class ThreeMethods:
    """A store with nothing but what every store has."""

    def __init__(self) -> None:
        self.stored: dict[str, ConfigSource] = {}

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        return self.stored.get(f"{application}/{profile}/{label}")

    async def save(self, source: ConfigSource) -> None:
        self.stored[str(source.key)] = source

    async def list(self) -> list[ConfigSource]:
        return sorted(self.stored.values(), key=lambda source: source.key.sort_key)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def place(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Return a function that makes an empty store of a kind and returns its URL."""
    kept: dict[str, Any] = {}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(opening, "open_backend", lambda url: kept.get(url) or open_backend(url))

    def make(kind: str) -> str:
        number = len([*tmp_path.iterdir()]) + len(kept)
        path = tmp_path / f"{kind.replace(' ', '-')}-{number}"
        if kind in {"labels", "spring"}:
            path.mkdir()
            return path.as_uri() + ("?layout=spring" if kind == "spring" else "")
        if kind == "sqlite":
            path.touch()
            return f"sqlite:///{path}"
        if kind.startswith("s3"):
            bucket = f"bucket-{os.urandom(8).hex()}"
            client = boto3.client("s3", endpoint_url=s3, region_name="eu-west-1")
            client.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
            layout = "&layout=spring" if kind == "s3-spring" else ""
            return f"s3://{bucket}/config?region=eu-west-1&endpoint_url={s3}{layout}"
        url = f"kept{number}:"
        kept[url] = Unclosed() if kind == "memory" else ThreeMethods()
        return url

    return make


class Unclosed(InMemoryConfigBackend):
    """A store that several commands use, one after the other."""

    async def aclose(self) -> None:
        return None


def fill(url: str, files: dict[str, str]) -> None:
    root = Path(url.removeprefix("file://").partition("?")[0])
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(0, 0))


@pytest.mark.slow
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
