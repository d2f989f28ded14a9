"""The Spring layout against a model of a Spring Cloud Config server, on random repositories."""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pyfly.config_core import ConfigError, ConfigKey
from pyfly.config_server import ConfigServer, ConfigSource, FilesystemConfigBackend, open_backend
from pyfly.config_server.files.emptied import EMPTIED_NAME
from pyfly.config_server.storage import ANY

APPLICATIONS = ("a", "b", "a-b", "application", "application-x", "c")
PROFILES = ("default", "x", "y", "b", "b-x")
SUFFIXES = (".properties", ".yml", ".yaml")
CONDITIONS = ("", "", "x", "default", "!x", "x & y", "x | b", "!(x | y)", "x,y")
Files = dict[str, list[tuple[str, int]]]
"""File name to documents: a condition and a number."""


def meets(condition: str, profiles: Sequence[str]) -> bool:
    """True if one of the expressions between commas holds; made of Python's own operators."""
    if not condition:
        return True
    for text in condition.split(","):
        tokens = text.replace("(", " ( ").replace(")", " ) ").replace("!", " ! ").split()
        words = {"!": "not", "&": "and", "|": "or", "(": "(", ")": ")"}
        code = " ".join(words.get(token) or str(token in profiles) for token in tokens)
        if eval(code, {"__builtins__": {}}):
            return True
    return False


def expected(files: Files, application: str, profile: str) -> list[tuple[str, int]]:
    """Return the names and numbers of the property sources, the highest precedence first."""
    names = list(dict.fromkeys(["application", *application.split(",")]))
    profiles = list(dict.fromkeys(profile.split(",")))
    stems = [f"{one}-{each}" for each in reversed(profiles) for one in reversed(names)]
    stems += reversed(names)
    found: list[tuple[str, int]] = []
    for position, stem in enumerate(stems):
        if stem in stems[position + 1 :]:
            continue  # a file counts once, in the lowest of its roles
        for suffix in SUFFIXES:
            documents = files.get(stem + suffix, [])
            for number, (condition, value) in reversed([*enumerate(documents)]):
                if meets(condition, profiles):
                    several = f" (document #{number})" if len(documents) > 1 else ""
                    found.append((f"main/{stem}{suffix}{several}", value))
    return found


def write(root: Path, name: str, documents: Sequence[tuple[str, int]]) -> None:
    sign, mark = ("=", "\n#---\n") if name.endswith(".properties") else (": ", "\n---\n")
    texts = []
    for condition, value in documents:
        line = f"spring.config.activate.on-profile{sign}"
        quoted = condition if sign == "=" else f"'{condition}'"
        texts.append(f"k{sign}{value}" + (f"\n{line}{quoted}" if condition else ""))
    (root / name).write_text(mark.join(texts) + "\n", encoding="utf-8")
    os.utime(root / name, ns=(0, 0))


def repository(root: Path, chance: random.Random) -> Files:
    files: Files = {}
    for _ in range(chance.randint(1, 8)):
        application, profile = chance.choice(APPLICATIONS), chance.choice((*PROFILES, ""))
        name = "-".join(filter(None, (application, profile))) + chance.choice(SUFFIXES)
        count = chance.choice((1, 1, 1, 2, 3))
        numbers = [chance.randrange(1_000_000) for _ in range(count)]
        files[name] = [(chance.choice(CONDITIONS), number) for number in numbers]
    for name, documents in files.items():
        write(root, name, documents)
    return files


def names_of(chance: random.Random, names: Sequence[str]) -> str:
    return ",".join(chance.sample([*names], chance.randint(1, 3)))


async def served(server: ConfigServer, application: str, profile: str) -> list[tuple[str, int]]:
    document = (await server.compose(application, profile, "main")).environment
    return [(one.name, int(str(one.source["k"]))) for one in document.property_sources]


async def check_repository(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    root.mkdir()
    files = repository(root, chance)
    async with ConfigServer(open_backend(f"{root.as_uri()}?layout=spring")) as server:
        for _ in range(12):
            request = names_of(chance, APPLICATIONS), names_of(chance, PROFILES)
            assert await served(server, *request) == expected(files, *request), (seed, request)


MANY = (pytest.mark.slow, pytest.mark.untraced)


@pytest.mark.parametrize("first", [0, pytest.param(1_000, marks=MANY)])
def test_documents_are_those_of_a_spring_cloud_config_server(
    tmp_path: Path, times: int, first: int
) -> None:
    """`scripts/prove repositories` does this with 20 times as many repositories."""
    for seed in range(first, first + (40 if first == 0 else 125 * times)):
        asyncio.run(check_repository(tmp_path / str(seed), seed))


def contents(root: Path) -> dict[str, bytes]:
    """The files of bundles; not the mark that the last removal leaves in an empty directory."""
    files = {path.name: path for path in root.iterdir() if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != EMPTIED_NAME}


async def check_write(backend: FilesystemConfigBackend, root: Path, chance: random.Random) -> None:
    """Save or delete one bundle; it happens whole, in the file that is meant, or not at all."""
    key = ConfigKey(
        application=chance.choice(APPLICATIONS), profile=chance.choice((*PROFILES, "-"))
    )
    before, value = contents(root), chance.randrange(1_000_000)
    own = [key.stem + suffix for suffix in SUFFIXES if key.stem + suffix in before]
    deletes = chance.random() < 0.3
    try:
        if deletes:
            await backend.delete(key, expected=ANY)
        else:
            properties: Mapping[str, int] = {"k": value}
            source = ConfigSource(
                application=key.application, profile=key.profile, properties=properties
            )
            await backend.commit(source, expected=ANY)
    except ConfigError:
        assert contents(root) == before
        is_ambiguous_base = key.is_base and "-" in key.application
        assert len(own) > 1 or is_ambiguous_base or (len(own) == 1 and b"---" in before[own[0]])
        return
    after = contents(root)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed <= {*own, f"{key.stem}.yml"}
    found = await backend.fetch(key.application, key.profile)
    if deletes:
        assert (found, changed) == (None, {*own})
    else:
        assert found is not None
        texts = (own or [""])[0].endswith(".properties")
        assert found.properties == {"k": str(value) if texts else value}
        assert changed == {*(own or [f"{key.stem}.yml"])}
        rows = [entry async for entry in backend.keys()]
        listed = [row for row in rows if row.key == key]
        assert any(row.key.stem == key.stem for row in rows)
        assert listed or not key.is_base  # a base bundle is listed as what it was saved as


@pytest.mark.parametrize("first", [0, pytest.param(1_000, marks=MANY)])
def test_a_save_or_removal_touches_the_one_file_that_is_meant_or_nothing(
    tmp_path: Path, times: int, first: int
) -> None:
    """`scripts/prove repositories` does this with 20 times as many repositories."""

    async def check(seed: int) -> None:
        chance = random.Random(seed)
        root = tmp_path / str(seed)
        root.mkdir()
        repository(root, chance)
        backend = open_backend(f"{root.as_uri()}?layout=spring")
        assert isinstance(backend, FilesystemConfigBackend)
        async with backend:
            for _ in range(4):
                await check_write(backend, root, chance)

    for seed in range(first, first + (25 if first == 0 else 50 * times)):
        asyncio.run(check(seed))
