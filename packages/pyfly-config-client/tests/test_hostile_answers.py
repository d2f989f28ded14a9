"""Whatever the bytes of an answer are: a value or an error of our tree, in bounded time and memory.

Without sockets: what servers do with connections is in `test_hostile_servers`.
"""

import copy
import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfly.config_client import ConfigClientError, Properties, SyncConfigClient
from pyfly.config_client._responses import accept
from pyfly.config_client.transport import HttpResponse
from pyfly.config_core import ConfigError, ConfigFormatError
from pyfly.config_core.limits import MAX_ANSWER_BYTES
from pyfly.config_core.strict_json import MAX_VALUES, decode_json

SECONDS = 3.0
"""Of this process's CPU: three times the stated second, for machines that are busy."""
MEMORY = 80_000_000
"""Bytes beyond the answer itself. The stated figure is 64 MB; the worst here takes 67."""

CLIENT = SyncConfigClient(
    server_url="http://config", application="orders", profile="prod", timeout=3600
)
KEY = "🔑".encode()


def read(body: bytes, **headers: str) -> Properties:
    job = CLIENT._session.job()
    answer = HttpResponse(
        status=200, headers={"content-type": "application/json"} | headers, body=body
    )
    return accept(job, job.requests[0][0], answer).properties


def use(found: Properties) -> None:
    """Do what programs do with properties."""
    list(found.items())
    found.get("orders.max-items", int, default=1)
    found.section("k")
    assert repr(found)


def filled(piece: bytes) -> bytes:
    return piece * ((MAX_ANSWER_BYTES - 1000) // len(piece))


def document(sources: bytes) -> bytes:
    return b'{"name":"orders","profiles":["prod"],"propertySources":[' + sources + b"]}"


def source(*pairs: bytes) -> bytes:
    return document(b'{"name":"x","source":{' + b",".join(pairs) + b"}}")


def many(form: str, count: int = 19_999) -> list[bytes]:
    return [form.replace("#", str(i)).encode() for i in range(1, count + 1)]


WORST: dict[str, Callable[[], bytes]] = {
    "empty lists": lambda: b'{"x":[' + filled(b"[],") + b"[]]}",
    "empty objects": lambda: b'{"x":[' + filled(b"{},") + b"{}]}",
    "small numbers": lambda: b'{"x":[' + filled(b"1,") + b"1]}",
    "sources": lambda: document(filled(b'{"name":"a","source":{}},') + b'{"name":"a","source":{}}'),
    "one wide text": lambda: source(b'"a":"' + KEY + filled(b"a") + b'"'),
    "many wide texts": lambda: source(*many(f'"k#":"{KEY.decode()}{"a" * 190}"')),
    "texts that are not asked for": lambda: (
        b'{"x":["' + b'","'.join([KEY + b"a" * 70] * 90_000) + b'"],' + document(b"")[1:]
    ),
    "large numbers": lambda: source(*many(f'"k#":{"9" * 390}')),
    "one large number": lambda: source(b'"a":' + filled(b"9")),
    "one long fraction": lambda: source(b'"a":1.' + filled(b"9")),
    "one large exponent": lambda: source(b'"a":1e' + filled(b"9")),
    "lists in lists": lambda: b"[" * MAX_ANSWER_BYTES,
    "objects in objects": lambda: filled(b'{"a":'),
    "a text that never ends": lambda: b'{"x":"' + filled(b'\\"'),
    "quotes without a text": lambda: filled(b'\\"'),
    "backslashes": lambda: b'"' + filled(b"\\"),
    "quotes and commas": lambda: filled(b'",'),
    "blanks": lambda: document(filled(b" ")),
    "escapes": lambda: source(b'"a":"' + filled(b"\\u00e9") + b'"'),
    "one key many times": lambda: b"{" + b'"a":1,' * 90_000 + b'"a":1}',
    "placeholders that double": lambda: source(*many('"k#":"${k0#}${k0#}"'), b'"k01":"x"'),
    "placeholders in placeholders": lambda: source(*many(f'"k#":"{"${" * 50}{"}" * 50}"')),
    "placeholders that never end": lambda: source(b'"a":"' + b"${" * 2_000_000 + b'"'),
    "one key of many parts": lambda: source(b'"' + b"a." * 2_000_000 + b'":1'),
    "one key of many indexes": lambda: source(b'"' + b"[0]" * 1_300_000 + b'":1'),
    "keys of many parts": lambda: source(*many(f'"{"a." * 100}#":1')),
    "lists with gaps": lambda: source(*many('"a[#000]":1')),
}


MANY_SMALL_OBJECTS = {
    "keys of many parts",
    "placeholders in placeholders",
    "placeholders that double",
    "placeholders that never end",
}
"""Kinds that take less than 20 MB, which takes the tracer of memory a minute to find out."""


def outcome(body: bytes) -> str:
    try:
        use(read(body))
    except ConfigError as error:
        text = str(error)
        assert len(text) < 1000
        return text
    return "read"


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("kind", WORST)
def test_no_answer_costs_much_time(
    kind: str, record_property: Callable[[str, object], None]
) -> None:
    body = WORST[kind]()
    assert len(body) <= MAX_ANSWER_BYTES
    began = time.process_time()
    outcome(body)
    seconds = time.process_time() - began
    record_property("seconds", seconds)
    assert seconds < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in WORST if kind not in MANY_SMALL_OBJECTS])
def test_no_answer_costs_much_memory(
    kind: str, record_property: Callable[[str, object], None]
) -> None:
    body = WORST[kind]()
    gc.collect()
    tracemalloc.start()
    try:
        outcome(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    record_property("bytes", peak)
    assert peak < MEMORY


def test_the_largest_answer_that_a_server_gives_is_read() -> None:
    pairs = many(f'"k#":{{"value":"{"ü" * 90}","origin":"12:{"3" * 20}"}}', 20_000)
    body = source(*pairs)
    assert 4_000_000 < len(body) < MAX_ANSWER_BYTES
    assert len(read(body)) == 20_000


def test_commas_and_brackets_in_texts_are_no_values() -> None:
    text = '[{,\\",' * 200_000
    assert read(source(b'"a":"' + text.encode() + b'"'))["a"] == text.replace('\\"', '"')
    with pytest.raises(ConfigFormatError, match="more than 100,000 values"):
        decode_json(b"[" + b"1," * MAX_VALUES + b"1]")
    assert decode_json(b"[" + b"1," * (MAX_VALUES - 1) + b"1]") == [1] * MAX_VALUES


# --- odd bytes ------------------------------------------------------------------------

ODD = {
    "a mark of byte order": b"\xef\xbb\xbf" + source(b'"a":1'),
    "latin-1": source('"a":"ü"'.encode("latin-1")),
    "utf-16": source(b'"a":1').decode().encode("utf-16"),
    "utf-32": source(b'"a":1').decode().encode("utf-32-be"),
    "a NUL": source(b'"a":"\0"'),
    "an overlong slash": source(b'"a":"\xc0\xaf"'),
    "an encoded surrogate": source(b'"a":"\xed\xa0\x80"'),
    "half of a pair": source(b'"a":"\\ud800"'),
    "half of a pair as a key": source(b'"\\udfff":1'),
    "half of a pair as a name": source(b'"a":1').replace(b'"x"', b'"\\ud800"'),
    "half of a pair as a version": document(b"")[:-1] + b',"version":"\\ud800"}',
    "infinity": source(b'"a":Infinity'),
    "a number beyond all": source(b'"a":1e999'),
    "a number below all": source(b'"a":-1e999'),
    "a number of 401 digits": source(b'"a":' + b"9" * 401),
    "two documents": source(b'"a":1') * 2,
    "a comma too much": source(b'"a":1,'),
    "a comment": source(b'"a":1') + b"// x",
    "one key twice": source(b'"a":1,"a":1'),
    "one field twice": document(b"")[:-1] + b',"name":"orders"}',
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_bytes_are_an_error_of_ours(kind: str) -> None:
    with pytest.raises(ConfigClientError):
        read(ODD[kind])


@pytest.mark.parametrize("digits", [4299, 4300, 4301, 100_000])
def test_numbers_do_not_depend_on_a_limit_of_the_interpreter(digits: int) -> None:
    with pytest.raises(ConfigClientError, match="a number is too large"):
        read(source(b'"a":' + b"9" * digits))


DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "profiles": ["prod"],
    "label": "main",
    "version": "1",
    "state": None,
    "propertySources": [
        {"name": "main/orders.yaml", "source": {"a": {"value": 1, "origin": "1:1"}, "b": "${a}"}}
    ],
}
PLACES: list[tuple[Any, ...]] = [
    (),
    *((name,) for name in DOCUMENT),
    ("profiles", 0),
    ("propertySources", 0),
    ("propertySources", 0, "name"),
    ("propertySources", 0, "source"),
    ("propertySources", 0, "source", "a"),
    ("propertySources", 0, "source", "a", "value"),
    ("propertySources", 0, "source", "a", "origin"),
    ("propertySources", 0, "source", "b"),
]
WRONG: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**300, "", "x" * 100_000, [], [None], [[]], {}, {"": None}),
    *({"value": 1}, {"value": {}, "origin": 1}, [{"name": "x", "source": {}}]),
]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_every_type_at_every_place_is_a_value_or_an_error(place: tuple[Any, ...]) -> None:
    for wrong in WRONG:
        changed = copy.deepcopy(DOCUMENT)
        node: Any = {"": changed}
        path = ("", *place)
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = wrong
        root = changed if place else wrong
        outcome(json.dumps(root).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=3 * settings().max_examples // 2)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_error(body: bytes) -> None:
    outcome(body)
    outcome(json.dumps(DOCUMENT).encode() + body)


@settings(max_examples=3 * settings().max_examples // 2)
@given(JSON, st.sampled_from(PLACES))
def test_any_json_at_any_place_is_a_value_or_an_error(value: Any, place: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(DOCUMENT)
    if not place:
        outcome(json.dumps(value).encode())
        return
    node: Any = changed
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    outcome(json.dumps(changed).encode())


@settings(max_examples=3 * settings().max_examples // 2)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_value_or_an_error(position: int, damage: bytes) -> None:
    body = json.dumps(DOCUMENT).encode()
    at = position % len(body)
    outcome(body[:at] + damage + body[at + len(damage) :])
    outcome(body[:at])


HEADERS = [
    *("content-type", "content-digest", "content-encoding", "content-length"),
    *("etag", "retry-after", "preference-applied"),
]


@given(
    st.integers(100, 999),
    st.dictionaries(
        st.sampled_from(HEADERS),
        st.text(st.characters(max_codepoint=255), max_size=60),
    ),
    st.binary(max_size=100),
)
def test_any_head_is_a_value_or_an_error(status: int, headers: dict[str, str], body: bytes) -> None:
    job = CLIENT._session.job()
    answer = HttpResponse(status=status, headers=headers, body=body)
    with pytest.raises(ConfigClientError) as caught:
        accept(job, job.requests[0][0], answer)
    assert str(caught.value).isprintable()


def test_a_deadline_holds_for_work_too() -> None:
    job = CLIENT._session.job()
    body = source(b'"a":1')
    answer = HttpResponse(status=200, headers={"content-type": "application/json"}, body=body)
    with pytest.raises(ConfigClientError, match="could not be read within the timeout"):
        accept(job, job.requests[0][0], answer, time.monotonic())
