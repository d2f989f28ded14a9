"""Random repositories, copied between random stores: what a copy and a comparison promise."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Iterable
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._stores.opening import open_store
from pyfly.config_core import ConfigError, ConfigNotFoundError
from pyfly.config_server import ConfigServer, ConfigSource, Encryption, ServerOptions
from pyfly.config_server.formats.text import parse_text

Run = Callable[..., Any]
Documents = dict[tuple[str, str], list[list[tuple[str, str]]] | str]
APPLICATIONS = ("a", "b", "a-b", "application", "b-x")
PROFILES = ("-", "default", "x", "b", "b-x")
TEXTS = (
    "k: 1",
    "k: 1.0",
    "k: '1'",
    "{}",
    "",
    "l: [1, 2]",
    "l: [3]",
    "n: {m: null, e: {}, l: []}",
    "d: 2001-01-01\no: 010\ni: .inf\nn: .nan\nbig: 123456789012345678901234567890",
    "- a\n- b",
    "spring.config.activate.on-profile: x\nk: 3",
    "spring.config.activate.on-profile: x & !b\nk: 4",
    '"a[0].b": x\na.b: y',
    "ä.ö: ü",
    'c: "{cipher}abc"\np: "${k:x}"',
    "x: &a {y: 1}\nz: *a",
    "---\nk: 5\n---\n",
    "k: 5\n---\nk: 6",
    'k: "\\u0085\\u2028\\n"',
    '"[": 1',
    "a: [",
)
PROPERTIES = ("k=1", "", "spring.config.activate.on-profile=x\nk=7", "k=1\n#---\nk=2", "a[0]=1")
KINDS = ("labels", "spring", "sqlite", "memory", "three methods")
OPTIONS = ServerOptions(encryption=Encryption(decrypts_documents=False))


def make_store(place: Callable[[str], str], kind: str, chance: random.Random, most: int) -> str:
    """Return the URL of a store with some bundles; what it refuses to keep is not in it."""
    url = place(kind)
    for _ in range(chance.randint(min(most, 1), most)):
        application, profile = chance.choice(APPLICATIONS), chance.choice(PROFILES)
        if kind in {"labels", "spring"}:
            suffix = chance.choice((".yaml", ".yml", ".yml", ".properties"))
            texts = PROPERTIES if suffix == ".properties" else TEXTS
            put_file(url, stem(application, profile) + suffix, chance.choice(texts))
        elif kind != "three methods" or profile != "-":
            with contextlib.suppress(ConfigError):
                properties = parse_text(chance.choice(TEXTS).encode(), suffix=".yaml")
                source = ConfigSource(
                    application=application, profile=profile, properties=properties
                )
                asyncio.run(save(url, source))
    return url


async def save(url: str, source: ConfigSource) -> None:
    async with open_store(url) as bundles:
        await bundles.save(source)


def stem(application: str, profile: str) -> str:
    return application if profile == "-" else f"{application}-{profile}"


def put_file(url: str, name: str, text: str) -> None:
    root = Path(url.removeprefix("file://").partition("?")[0])
    path = (root if "spring" in url else root / "main") / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(0, 0))


async def served(url: str, applications: Iterable[str], profiles: Iterable[str]) -> Documents:
    """Return what a store serves to every request of one or two names."""
    requests = product(lists(applications), lists(profiles))
    found: Documents = {}
    async with open_store(url) as bundles:
        server = ConfigServer(bundles.backend, options=OPTIONS)
        for request in requests:
            try:
                document = (await server.compose(*request, "main")).environment
            except ConfigNotFoundError:  # a directory without bundles is no label
                found[request] = []
            except ConfigError:
                found[request] = "broken"
            else:
                found[request] = [
                    sorted((key, repr(value)) for key, value in source.source.items())
                    for source in document.property_sources
                ]
    return found


def lists(names: Iterable[str]) -> list[str]:
    known = sorted(names)
    return [",".join(some) for some in [*permutations(known, 1), *permutations(known, 2)]]


def check_copy(run: Run, place: Callable[[str], str], seed: int) -> None:
    chance = random.Random(seed)
    kind, other = chance.choice(KINDS), chance.choice(KINDS)
    source = make_store(place, kind, chance, 5)
    target = make_store(place, other, chance, chance.choice((0, 0, 2)))
    options = ["--overwrite"] * (chance.random() < 0.5 or other == "three methods")
    before = run("list", target, "--json").json["bundles"]
    done = run("copy", source, target, "--json", *options)
    check = run("copy", source, target, "--json", "--dry-run", "--verify")
    rows = done.json["bundles"]
    applications = {row["application"] for row in [*rows, *before]} | {"application", "unknown"}
    profiles = {row["profile"] for row in [*rows, *before]} - {"-"} | {"default", "x", "b", "other"}
    known = profiles - ({"x", "b"} - {row["profile"] for row in rows})
    wide = {url: asyncio.run(served(url, applications, profiles)) for url in (source, target)}
    unequal = {one for one in wide[source] if wide[source][one] != wide[target][one]}
    asked = {one for one in unequal if set(one[1].split(",")) <= known}
    told = (seed, kind, other, rows, check.json["differences"], sorted(asked)[:3])
    assert done.code == 3 or before or not asked, told
    assert check.json["differences"] or not asked, told
    assert done.code in {0, 3}, told
    if kind in {"sqlite", "memory", "three methods"} and other == kind:  # names mean the same
        assert bool(check.json["differences"]) == bool(unequal), told


MANY = (pytest.mark.slow, pytest.mark.untraced)


@pytest.mark.parametrize("first", [0, pytest.param(1_000, marks=MANY)])
def test_what_is_not_served_alike_is_told(
    run: Run, place: Callable[[str], str], times: int, first: int
) -> None:
    """`scripts/prove repositories` does this with 20 times as many repositories."""
    for seed in range(first, first + (12 if first == 0 else 25 * times)):
        check_copy(run, place, seed)
