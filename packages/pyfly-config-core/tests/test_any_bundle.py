"""Whatever is stored: no answer is a failure of the server, and the formats say the same."""

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pyfly.config_core import ConfigError, ConfigFormatError, flatten
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
)
from pyfly.config_server.composition.activation import is_active
from pyfly.config_server.formats.text import parse_documents

V2 = b"application/vnd.spring-cloud.config-server.v2+json"
BUNDLE = [
    ("/any/p", {}),
    ("/any/p,q", {b"accept": V2}),
    ("/any-p.json", {}),
    ("/main/any-p.yml", {}),
    ("/any-p.properties", {}),
    ("/any-p.json?resolvePlaceholders=false", {}),
    ("/any-q.yaml?resolvePlaceholders=false", {}),
    ("/any/p,q?keys=*", {b"accept": V2}),
    ("/any-p.yml?keys=a,b.*", {}),
]
FILE = [
    ("/any/p/main/file.txt", {}),
    ("/any/p/main/file.txt", {b"accept-charset": b"utf-7"}),
    ("/any/p/main/file.txt?resolvePlaceholders=false", {b"accept-charset": b"utf-16"}),
    ("/any/p/file.txt?useDefaultLabel", {b"accept": b"application/octet-stream"}),
]
RULES = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

Ask = Callable[..., Awaitable[HttpResponse]]


def asking(backend: Any) -> Ask:
    controller = Controller(ConfigServer(backend), auth=None)

    async def ask(path: str, headers: dict[bytes, bytes] | None = None) -> HttpResponse:
        raw, _, query = path.partition("?")
        return await controller.handle(
            HttpRequest(
                method="GET",
                raw_path=f"/config{raw}".encode(),
                query=query.encode(),
                headers=tuple((headers or {}).items()),
            )
        )

    return ask


WORDS = "a b . [ ] [0] [1] [-1] [99999999999] ${ } : \\ ' \" # --- ü document 0 & * ! | ( p"
BLANKS = [" ", "\n", "\t", "\u2028", "\x85", "\x00"]
CONDITIONS = ["spring.profiles", "spring.config.activate.on-profile"]
pieces = st.sampled_from([*WORDS.split(), *BLANKS, *CONDITIONS])
hostile = st.lists(pieces, max_size=6).map("".join)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | hostile | st.text()
)
values: Any = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(hostile | st.text(), below, max_size=3)
    ),
    max_leaves=10,
)
trees = st.dictionaries(hostile, values, max_size=4)


@pytest.mark.slow
@given(default=trees, profile=trees)
@RULES
def test_no_stored_tree_makes_a_failure(default: Any, profile: Any) -> None:
    async def check() -> None:
        backend = InMemoryConfigBackend()
        try:
            for name, tree in (("default", default), ("p", profile)):
                await backend.save(ConfigSource(application="any", profile=name, properties=tree))
        except ConfigError:
            assume(False)  # no store takes it
        for path, headers in BUNDLE:
            answer = await asking(backend)(path, headers)
            assert answer.status < 500 or conditions_are_broken(default, profile), path
            if answer.status == 200 and b"json" in dict(answer.headers)[b"content-type"]:
                json.loads(answer.body, parse_constant=pytest.fail)

    asyncio.run(check())


def conditions_are_broken(*bundles: Any) -> bool:
    try:
        for tree in bundles:
            is_active(flatten(tree), frozenset({"p"}))
    except ConfigFormatError:
        return True
    return False


lines = st.sampled_from(
    [
        *("a: 1", "a: ${b}", "b: ${a:x}", "c:", "  d: [1, {e: f}]", "- x", "---", "...", "# c", ""),
        *("'q.r': |", "    text", "x: &anchor {y: z}", "u: *anchor", "<<: *anchor", "1: on", "? k"),
        *("spring.config.activate.on-profile: p", "spring.config.activate.on-profile: 'a & b | c'"),
        *("spring.config.activate: {onProfile: [p, '!q']}", "spring.profiles: x", '"\\ud800": 1'),
        *("#---", "!---", "k=v", "k[0]=v", "k\\u00e9=\\u12", "m\\", "%YAML 1.1", "!!binary x", "{"),
        *("e: .nan", "t: 12:30:59", "n: 0x_", '{"j": [null, 1e400]}', "\ufeff", "g: \x07", "}"),
    ]
)
texts = (
    st.lists(lines, max_size=8).map("\n".join).map(str.encode)
    | st.lists(lines | hostile, max_size=8).map("\r\n".join).map(str.encode)
    | st.binary(max_size=40)
)


@pytest.mark.slow
@given(text=texts, suffix=st.sampled_from([".yaml", ".json", ".properties"]), file=texts)
@example(text=b"a: ${b}\n---\nb: ${a}\n", suffix=".yaml", file=b"${a} ${${b}} ${")
@RULES
def test_no_stored_text_makes_a_failure(text: bytes, suffix: str, file: bytes) -> None:
    """A text that does not parse is a 500 that names the file; nothing else is."""

    async def check() -> None:
        with tempfile.TemporaryDirectory() as directory:
            main = Path(directory, "main")
            main.mkdir()
            (main / f"any-default{suffix}").write_bytes(text)
            (main / "file.txt").write_bytes(file)
            for path in main.iterdir():
                os.utime(path, (0, 0))  # complete for long enough to be read at once
            ask = asking(FilesystemConfigBackend(directory))
            for target, headers in BUNDLE + FILE:
                answer = await ask(target, headers)
                assert (answer.status >= 500) is is_broken(text, suffix), (target, answer.body)
                if answer.status >= 500:
                    assert f"main/any-default{suffix}" in json.loads(answer.body)["message"]

    asyncio.run(check())


def is_broken(text: bytes, suffix: str) -> bool:
    try:
        for document in parse_documents(text, suffix=suffix):
            is_active(flatten(document.properties), frozenset({"p"}))
    except ConfigFormatError:
        return True
    return False


# Names say what they hold, so that no source has a mapping where another has a list.
ordered: Any = st.deferred(
    lambda: st.dictionaries(
        st.sampled_from(["s", "s x", "ü"]), st.booleans() | st.integers(), max_size=2
    ).flatmap(
        lambda singles: st.fixed_dictionaries(
            {},
            optional={
                "m": ordered,
                "m[k]": ordered,
                "l": st.lists(st.integers() | ordered.filter(bool), max_size=3),
            },
        ).map(lambda nested: singles | nested)
    )
)


def stem(key: str) -> str:
    return key.partition("[")[0]


def written_out(value: Any, path: str = "") -> dict[str, Any]:
    """Return the flat keys of an answer, without the nulls that fill gaps in lists."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{name}" if path else name, below) for name, below in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{index}]", below) for index, below in enumerate(value)]
    else:
        return {} if value is None else {path: value}
    return {key: leaf for below, v in pairs for key, leaf in written_out(v, below).items()}


@pytest.mark.slow
@given(st.lists(ordered, min_size=1, max_size=3))
@RULES
def test_the_json_is_the_fold_of_the_sources_of_the_document(stored: list[Any]) -> None:
    """Every key is that of the highest source which has anything under its name before a `[`."""

    async def check() -> None:
        backend = InMemoryConfigBackend()
        for tree, profile in zip(stored, ("default", "p", "q"), strict=False):
            await backend.save(ConfigSource(application="any", profile=profile, properties=tree))
        ask = asking(backend)
        document = json.loads((await ask("/any/p,q")).body)
        sources = [source["source"] for source in document["propertySources"]]
        expected: dict[str, Any] = {}
        for source in sources:
            stems = {stem(key) for key in expected}
            expected |= {key: value for key, value in source.items() if stem(key) not in stems}
        answer = await ask("/any-p,q.json")
        assert answer.status == 200
        assert written_out(json.loads(answer.body)) == expected
        lines = (await ask("/any-p,q.properties")).body.decode().splitlines()
        assert sorted(lines) == sorted(
            f"{key}: {str(value).lower()}" for key, value in expected.items()
        )

    asyncio.run(check())
