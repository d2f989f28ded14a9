"""Answers from a Git repository, beside those of a Spring Cloud Config server with its backend.

`scripts/prove reference` asks more, with more seeds. What may differ is in
`reference_pairs.REASONS`, in `DELIBERATE` and in docs/explanation/compatibility.md.
"""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from git_corpus import GIT_LOCATIONS, SHORT, fill_git, shortened
from git_repositories import Repository as GitRepository
from reference_answers import told
from reference_corpus import SUBJECTS, Repository
from reference_pairs import ask_both, unexplained

pytestmark = pytest.mark.external

SECONDS: Final = 120
IS_LONG: Final = "PYFLY_PROOF_SEEDS" in os.environ
SEEDS: Final = [int(seed) for seed in os.environ.get("PYFLY_PROOF_SEEDS", "1").split(",")]
EQUAL: Final = (
    *(
        "main",
        "readme",
        "a-b_c.d+e@f",
        "sp(_)a(_)b",
        "nested",
        "deadbeef",
        "COMMIT",
        "COMM",
        "CAPS",
    ),
    *("nolabel", "sp(_)a", "sp/a/b", "refs(_)notes(_)x", "master", "0000", "(_)main"),
    *("main^", "main,nolabel", "readme,main"),
)
"""Labels that are answered alike; those in capitals stand for the id of a commit."""
DELIBERATE: Final = {
    **dict.fromkeys(("HEAD", "origin(_)main", "refs(_)heads(_)main"), (200, 404)),
    **dict.fromkeys(("heads(_)main", "tags(_)nested", "refs(_)tags(_)nested"), (200, 404)),
    **dict.fromkeys(("TAG",), (200, 404)),
    **dict.fromkeys(("tree", "blob", "TREE"), (500, 404)),
    **dict.fromkeys(("main~1", "main@%7B0%7D", "-x", "main(_)"), (404, 400)),
    **dict.fromkeys((",main", "main,"), (200, 400)),
    "sp%2Fa%2Fb": (400, 200),
}
"""By label the status of the reference and of ours, where they differ on purpose."""


FILES: Final = {
    "real/notes.txt": (200, 200),
    "config/orders.yml": (200, 200),
    "notes.txt": (200, 404),
    "linked/notes.txt": (200, 404),
    "outside.txt": (200, 404),
    "broken.txt": (404, 404),
    "sub/orders.yml": (404, 404),
    "sub": (404, 404),
}
"""Paths of plain files of the branch `links`, and the statuses of the reference and of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Two servers on one repository."""

    reference: str
    own: str
    legacy: str
    """Ours on a repository with the branch `master` only, in which the reference has `legacy`."""
    checkout: Path
    """Where the reference has the files."""
    odd: Mapping[str, str]
    """The ids of objects by the labels of `EQUAL` and `DELIBERATE` that stand for them."""
    asked: dict[int, list[Repository]]
    """By seed."""


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[tuple[str, Path]]:
    """Yield the address of a Git server, and the directory of its repositories."""
    root, port = tmp_path_factory.mktemp("remotes"), free_port()
    programs = subprocess.check_output(["git", "--exec-path"], encoding="utf-8").strip()
    listen = ["--listen=127.0.0.1", f"--port={port}"]
    command = [f"{programs}/git-daemon", "--export-all", f"--base-path={root}", *listen]
    with subprocess.Popen(command) as process:
        yield f"git://127.0.0.1:{port}", root
        process.terminate()


@pytest.fixture(scope="module")
def both(
    daemon: tuple[str, Path],
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    start_server: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Both:
    """A Spring Cloud Config server and ours on the repository of all seeds, and one of before."""
    address, root = daemon
    remote, old = (GitRepository(root / f"{name}.git") for name in ("config", "old"))
    subjects = tuple(SUBJECTS) if IS_LONG else SHORT
    odd = _odd_refs(remote)
    asked = {seed: fill_git(remote, seed, subjects=subjects) for seed in SEEDS}
    old.git("symbolic-ref", "HEAD", "refs/heads/master")
    old.commit({"legacy.yml": "a: 1\n", "legacy-prod.yml": "a: 2\n"}, "master")
    directory = tmp_path_factory.mktemp("clones")
    git = "--spring.cloud.config.server.git"
    places = ",".join(GIT_LOCATIONS)
    reference = run_jar(
        jar("reference-server"),
        f"{git}.uri={address}/config.git",
        f"{git}.search-paths={places}",
        f"{git}.basedir={directory / 'reference'}",
        f"{git}.refresh-rate=3600",
        f"{git}.repos.old.pattern=legacy*",
        f"{git}.repos.old.uri={address}/old.git",
        path="/orders/default",
    )
    stores = [
        f"{one.url}?search={quote(places)}&state={directory / 'own'}" for one in (remote, old)
    ]
    own, legacy = (start_server(store, "--base-path", "").url for store in stores)
    return Both(
        reference=reference,
        own=own,
        legacy=legacy,
        checkout=directory / "reference",
        odd=odd,
        asked=asked,
    )


def _odd_refs(remote: GitRepository) -> dict[str, str]:
    """Make branches, tags and other refs that are rare; return ids of objects."""
    text = "who: {}\n"
    commit = remote.commit({"orders.yml": text.format("main"), "app.conf": "x\n"})
    remote.commit({"README": "x"}, "readme", fresh=True)
    for branch in ("a-b_c.d+e@f", "sp/a/b", "deadbeef"):
        remote.commit({"orders.yml": text.format(branch)}, branch)
    tree, blob = (remote.git("rev-parse", f"main{one}") for one in ("^{tree}", ":orders.yml"))
    remote.git("tag", "tree", tree)
    remote.git("tag", "blob", blob)
    remote.git("tag", "-a", "-m", "x", "tag", "main")
    remote.git("tag", "-a", "-m", "x", "nested", "tag")
    remote.git("update-ref", "refs/notes/x", "main")
    tag = remote.git("rev-parse", "nested")
    ids = {"COMMIT": commit, "COMM": commit[:12], "CAPS": commit[:12].upper()}
    _odd_files(remote)
    return {**ids, "TREE": tree, "TAG": tag}


def _odd_files(remote: GitRepository) -> None:
    """Make a branch with links and a submodule, and one that is removed again."""
    remote.commit({"orders.yml": "who: gone\n"}, "gone", fresh=True)
    remote.git("update-ref", "-d", "refs/heads/gone")
    files = {
        "orders.yml": "who: links\n",
        "real.yml": "who: real\n",
        "real/notes.txt": "notes\n",
        "config/orders.yml": "who: config\n",
        ".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = ../config.git\n',
    }
    head = remote.commit(files, "links", fresh=True)
    links = {
        "orders-prod.yml": "real.yml",
        "notes.txt": "real/notes.txt",
        "outside.txt": "/etc/hostname",
        "linked": "real",
        "broken.txt": "nowhere",
    }
    rows = [f"M 120000 inline {path}\ndata {len(to)}\n{to}\n" for path, to in links.items()]
    rows.append(f"M 160000 {head} sub\n")
    stream = (
        f"commit refs/heads/links\ncommitter ada <ada@example.org> now\ndata 1\nx\nfrom {head}\n"
    )
    data = (stream + "".join(rows)).encode()
    remote.git("fast-import", "--quiet", "--date-format=now", data=data)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_from_a_repository_is_that_of_the_reference(both: Both, seed: int) -> None:
    counts: Counter[str] = Counter()
    unequal: list[str] = []

    async def compare() -> None:
        theirs = httpx.AsyncClient(base_url=both.reference, timeout=SECONDS)
        async with theirs, httpx.AsyncClient(base_url=both.own, timeout=SECONDS) as own:
            for repository in both.asked[seed]:
                # A list of labels costs the reference a checkout for each.
                count = (60 if IS_LONG else 14) // (4 if "," in repository.label else 1)
                pairs = await ask_both(theirs, own, shortened(repository, count), both.checkout)
                counts.update(str(pair.found.status) for pair in pairs.values())
                unequal.extend(unexplained(pairs, counts))

    asyncio.run(compare())
    print(f"git, seed {seed}: {dict(counts)}")  # noqa: T201 - what the long form is run for
    assert not unequal, "\n".join(unequal)
    assert counts["answers"] >= 300
    assert counts["200"] > 150


def test_every_kind_of_label_is_treated_as_by_the_reference(both: Both) -> None:
    unequal: list[str] = []
    with (
        httpx.Client(base_url=both.reference, timeout=SECONDS) as reference,
        httpx.Client(base_url=both.own, timeout=SECONDS) as own,
    ):
        for label in (*EQUAL, *DELIBERATE):
            asked = both.odd.get(label, label)
            theirs, ours = (client.get(f"/orders/prod/{asked}") for client in (reference, own))
            statuses = (theirs.status_code, ours.status_code)
            wanted = DELIBERATE.get(label, (theirs.status_code,) * 2)
            shown = asked.replace("(_)", "/")
            expected, found = (told(one, both.checkout, shown) for one in (theirs, ours))
            if statuses != wanted or (label in EQUAL and found != expected):
                unequal.append(f"{label}: expected {expected!r}\nfound    {found!r}")
    assert not unequal, "\n".join(unequal)


def test_links_and_submodules_are_no_files(both: Both) -> None:
    """The reference serves what a link leads to, inside of its clone and outside."""
    statuses: dict[str, tuple[int, int]] = {}
    with (
        httpx.Client(base_url=both.reference, timeout=SECONDS) as reference,
        httpx.Client(base_url=both.own, timeout=SECONDS) as own,
    ):
        plain = [client.get("/orders/default/links").json() for client in (reference, own)]
        linked = [client.get("/orders/prod/links").json() for client in (reference, own)]
        for path in FILES:
            asked = f"/orders/default/links/{path}"
            theirs, ours = (client.get(asked).status_code for client in (reference, own))
            statuses[path] = (theirs, ours)
        assert {client.get("/orders/prod/gone").status_code for client in (reference, own)} == {404}
    values = [[one["source"] for one in found["propertySources"]] for found in (*plain, *linked)]
    assert values[0] == values[1] == values[3] == [{"who": "config"}, {"who": "links"}]
    assert values[2] == [{"who": "real"}, *values[0]]
    assert statuses == FILES


@pytest.mark.parametrize(
    "path",
    [
        *("/legacy/prod", "/legacy/prod/main", "/legacy/prod/master", "/legacy/prod/gone"),
        *("/legacy-prod.yml", "/main/legacy-prod.yml", "/legacy/x,prod", "/legacy.x/default"),
    ],
)
def test_the_default_label_is_also_the_branch_master(both: Both, path: str) -> None:
    with httpx.Client(timeout=SECONDS) as client:
        theirs, ours = (client.get(url + path) for url in (both.reference, both.legacy))
    expected, found = (told(one, both.checkout, "master,main") for one in (theirs, ours))
    assert found == expected
    assert (found.status == 200) is not path.endswith("gone")
