"""What two servers answer to the same requests, and why answers may differ.

The reasons are those of docs/explanation/compatibility.md.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import httpx
import yaml

from pyfly.config_core import flatten
from reference_answers import Answer, dumped, told
from reference_corpus import Repository, Request


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


def is_plain_of_several_labels(pair: Pair, _: Pairs) -> bool:
    plain = re.fullmatch("/[^/]*/[^/]*/[^/]*,[^/]*/.*", pair.request.path)
    return plain is not None and (pair.expected.status, pair.found.status) == (404, 200)


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
    "a plain file under several labels is that of the last that has it": is_plain_of_several_labels,
}


async def ask_both(
    reference: httpx.AsyncClient, own: httpx.AsyncClient, repository: Repository, root: Path
) -> Pairs:
    """Make the requests for a repository to two servers.

    Args:
        reference: A Spring Cloud Config server.
        own: The server that is compared with it.
        repository: Says what is asked.
        root: Where the reference has the files.
    """
    pairs: dict[Request, Pair] = {}
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


def unexplained(pairs: Pairs, counts: Counter[str]) -> list[str]:
    """Count answers and reasons; return the pairs that differ without one, as texts."""
    found: list[str] = []
    counts["answers"] += len(pairs)
    for pair, reason in differing(pairs):
        counts[reason or "unexplained"] += 1
        if reason is None:
            found.append(
                f"{pair.request.path} {pair.request.accept or ''}\n"
                f"expected {pair.expected!r}\nfound    {pair.found!r}"
            )
    return found
