"""Answers on made-up repositories, beside those of a Spring Cloud Config server.

`scripts/prove reference` runs the same with more seeds. What may differ is in `REASONS` and in
docs/explanation/compatibility.md.
"""

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import boto3
import httpx
import pytest
import yaml
from litestar import Litestar

from pyfly.config_core import flatten
from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import ConfigServer, open_backend
from reference_answers import Answer, dumped, told
from reference_corpus import (
    LOCATIONS,
    Repository,
    Request,
    located_repository,
    repositories,
    rules_repository,
)

pytestmark = pytest.mark.external

SECONDS: Final = 60
SEEDS: Final = [int(seed) for seed in os.environ.get("PYFLY_PROOF_SEEDS", "1").split(",")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the reference answers to a request, and what is answered here."""

    request: Request
    expected: Answer
    found: Answer


Pairs: TypeAlias = Mapping[Request, Pair]
"""Those of one repository."""


def is_empty_source(pair: Pair, _: Pairs) -> bool:
    if b'"propertySources": ' not in pair.found.content:
        return False
    theirs, ours = (json.loads(one.content or "{}") for one in (pair.expected, pair.found))
    named = [source["name"] for source in theirs.get("propertySources", ())]
    ours["propertySources"] = [
        source for source in ours["propertySources"] if source["source"] or source["name"] in named
    ]
    return pair.expected == replace(pair.found, content=dumped(ours))


def is_infinity(pair: Pair, _: Pairs) -> bool:
    text = re.sub(rb"(?m)(?<=: )(-?)Infinity$", rb"\1.inf", pair.found.content)
    text = re.sub(rb"(?m)(?<=: )NaN$", b".NaN", text)
    return ".yml" in pair.request.path and pair.expected == replace(pair.found, content=text)


def is_unresolvable_in_another(pair: Pair, pairs: Pairs) -> bool:
    stem, _, extension = pair.request.path.rpartition(".")
    if extension not in {"json", "yml"} or (pair.expected.status, pair.found.status) != (400, 200):
        return False
    texts = pairs[Request(path=f"{stem}.properties")]
    return texts.found == texts.expected and b"${" in texts.found.content


def is_escaped_in_another(pair: Pair, pairs: Pairs) -> bool:
    """Where the texts differ, the one here is that of `.properties`, which is the same in both."""
    stem, _, extension = pair.request.path.rpartition(".")
    if extension not in {"json", "yml"} or (pair.expected.status, pair.found.status) != (200, 200):
        return False
    texts = pairs[Request(path=f"{stem}.properties")]
    theirs, ours = (texts_of(one.content) for one in (pair.expected, pair.found))
    lines = {f"{key}: {ours[key]}" for key in ours if theirs.get(key) != ours[key]}
    return (
        texts.found == texts.expected
        and theirs.keys() == ours.keys()
        and lines <= {*texts.found.content.decode().split("\n")}
        and all("${" in line for line in lines)
    )


def texts_of(content: bytes) -> dict[str, str]:
    """Return the flat keys of YAML, which JSON is too, with values as texts."""
    return {key: str(value) for key, value in flatten(yaml.load(content, yaml.BaseLoader)).items()}


def is_without_a_tree(pair: Pair, pairs: Pairs) -> bool:
    stem, _, extension = pair.request.path.partition("?")[0].rpartition(".")
    if extension not in {"json", "yml"}:
        return False
    texts = pairs[Request(path=f"{stem}.properties")]
    statuses = (pair.expected.status, pair.found.status)
    return statuses == (500, 400) and texts.found == texts.expected


def is_circular_in_a_plain_file(pair: Pair, _: Pairs) -> bool:
    plain = re.fullmatch("/[^/]*/[^/]*/[^/]*/.*", pair.request.path)
    return plain is not None and (pair.expected.status, pair.found.status) == (500, 400)


REASONS: Final[Mapping[str, Callable[[Pair, Pairs], bool]]] = {
    "a file without content is a source without properties": is_empty_source,
    "an infinity is the text that the document has": is_infinity,
    "in .json and .yml, a placeholder for an unresolvable one is left": is_unresolvable_in_another,
    "in .json and .yml, an escape stays one when another value names it": is_escaped_in_another,
    "a mapping and a list have no tree: 400 instead of 500": is_without_a_tree,
    "a placeholder that leads back to itself: 400 instead of 500": is_circular_in_a_plain_file,
}


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


async def ask_both(
    reference: httpx.AsyncClient, repository: Repository, root: Path, store: str
) -> Pairs:
    pairs: dict[Request, Pair] = {}
    async with client_of(store) as own:
        for request in repository.requests:
            headers = {} if request.accept is None else {"Accept": request.accept}
            theirs, ours = await asyncio.gather(
                *(client.get(request.path, headers=headers) for client in (reference, own))
            )
            expected, found = (told(one, root, repository.label) for one in (theirs, ours))
            pairs[request] = Pair(request=request, expected=expected, found=found)
    return pairs


def differing(pairs: Pairs) -> Iterator[tuple[Pair, str | None]]:
    """Yield the pairs that differ, with the reason where there is one."""
    for pair in pairs.values():
        if pair.found != pair.expected:
            reasons = (reason for reason, holds in REASONS.items() if holds(pair, pairs))
            yield pair, next(reasons, None)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_on_a_made_up_repository_is_that_of_the_reference(
    reference: tuple[str, Path], seed: int
) -> None:
    url, base = reference
    counts: Counter[str] = Counter()
    unexplained: list[str] = []

    async def compare() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as theirs:
            for repository in repositories(seed):
                root = base / repository.label
                write(repository, root)
                pairs = await ask_both(theirs, repository, root, store_of(root, repository.label))
                counts["answers"] += len(pairs)
                for pair, reason in differing(pairs):
                    counts[reason or "unexplained"] += 1
                    if reason is None:
                        unexplained.append(
                            f"{pair.request.path} {pair.request.accept or ''}\n"
                            f"expected {pair.expected!r}\nfound    {pair.found!r}"
                        )

    asyncio.run(compare())
    print(f"seed {seed}: {dict(counts)}")  # noqa: T201 - what the long form is run for
    assert not unexplained, "\n".join(unexplained)
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
        async with httpx.AsyncClient(base_url=reference[0], timeout=SECONDS) as theirs:
            return await ask_both(theirs, repository, root, store)

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
        async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as theirs:
            return await ask_both(theirs, repository, root, store)

    pairs = asyncio.run(compare())
    unequal = [pair for pair in pairs.values() if pair.found != pair.expected]
    print(f"locations, seed {seed}: {len(pairs)} answers, {len(unequal)} unequal")  # noqa: T201
    assert len(pairs) >= 300
    assert sum(pair.found.status == 200 for pair in pairs.values()) > 150
    assert unequal == []
