"""Answers on made-up repositories, beside those of a Spring Cloud Config server.

`scripts/prove reference` runs the same with more seeds. What may differ is in
`reference_pairs.REASONS` and in docs/explanation/compatibility.md.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import boto3
import httpx
import pytest
from litestar import Litestar

from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import ConfigServer, open_backend
from reference_corpus import (
    LOCATIONS,
    Repository,
    located_repository,
    repositories,
    rules_repository,
)
from reference_pairs import Pairs, ask_both, unexplained

pytestmark = pytest.mark.external

SECONDS: Final = 60
SEEDS: Final = [int(seed) for seed in os.environ.get("PYFLY_PROOF_SEEDS", "1").split(",")]


def write(repository: Repository, root: Path) -> None:
    for name, content in repository.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def client_of(store: str) -> httpx.AsyncClient:
    """Return a client of a server here on the store of a URL, without a network between them."""
    backend = open_backend(store)
    plugin = ConfigServerPlugin(ConfigServer(backend, base_path=""), auth=None)
    app: Any = Litestar(plugins=[plugin], openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=SECONDS)


def store_of(root: Path, label: str) -> str:
    """Return the URL of a directory of files under one label."""
    return f"{root.as_uri()}?layout=spring&label={label}"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_on_a_made_up_repository_is_that_of_the_reference(
    reference: tuple[str, Path], seed: int
) -> None:
    url, base = reference
    counts: Counter[str] = Counter()
    unequal: list[str] = []

    async def compare() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as theirs:
            for repository in repositories(seed):
                root = base / repository.label
                write(repository, root)
                async with client_of(store_of(root, repository.label)) as own:
                    pairs = await ask_both(theirs, own, repository, root)
                unequal.extend(unexplained(pairs, counts))

    asyncio.run(compare())
    print(f"seed {seed}: {dict(counts)}")  # noqa: T201 - what the long form is run for
    assert not unequal, "\n".join(unequal)
    assert counts["answers"] > 1_500


@pytest.fixture(scope="module")
def rules(reference: tuple[str, Path]) -> tuple[Repository, Path]:
    """The repository in which every rule for files shows, where the reference reads it."""
    repository = rules_repository("rules")
    root = reference[1] / repository.label
    write(repository, root)
    return repository, root


def compare_rules(reference: tuple[str, Path], rules: tuple[Repository, Path], store: str) -> None:
    repository, root = rules

    async def compare() -> Pairs:
        theirs = httpx.AsyncClient(base_url=reference[0], timeout=SECONDS)
        async with theirs, client_of(store) as own:
            return await ask_both(theirs, own, repository, root)

    pairs = asyncio.run(compare())
    unequal = [pair for pair in pairs.values() if pair.found != pair.expected]
    kind = store.partition(":")[0]
    print(f"rules, {kind}: {len(pairs) - len(unequal)} equal, {len(unequal)} unequal")  # noqa: T201
    assert len(pairs) >= 300
    assert unequal == []


def test_every_rule_for_files_shows_as_in_the_reference(
    reference: tuple[str, Path], rules: tuple[Repository, Path]
) -> None:
    repository, root = rules
    compare_rules(reference, rules, store_of(root, repository.label))


def test_every_rule_for_files_shows_in_a_bucket_as_in_the_reference(
    reference: tuple[str, Path],
    rules: tuple[Repository, Path],
    s3: str,
    make_bucket: Callable[[str], str],
) -> None:
    repository, _ = rules
    store = make_bucket("rules")
    with contextlib.closing(boto3.client("s3", endpoint_url=s3)) as client:
        for name, content in repository.files.items():
            client.put_object(Bucket="rules", Key=f"team/{name}", Body=content)
    compare_rules(reference, rules, f"{store}&layout=spring&label={repository.label}")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_from_search_locations_is_that_of_the_reference(
    located_reference: tuple[str, Path], seed: int
) -> None:
    url, base = located_reference
    repository = located_repository(f"located{seed}", seed)
    root = base / repository.label
    write(repository, root)
    store = f"{store_of(root, repository.label)}&search={quote(','.join(LOCATIONS))}"

    async def compare() -> Pairs:
        theirs = httpx.AsyncClient(base_url=url, timeout=SECONDS)
        async with theirs, client_of(store) as own:
            return await ask_both(theirs, own, repository, root)

    pairs = asyncio.run(compare())
    unequal = [pair for pair in pairs.values() if pair.found != pair.expected]
    print(f"locations, seed {seed}: {len(pairs)} answers, {len(unequal)} unequal")  # noqa: T201
    assert len(pairs) >= 300
    assert sum(pair.found.status == 200 for pair in pairs.values()) > 150
    assert unequal == []
