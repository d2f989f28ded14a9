"""Targets and headers of requests: what they cost, and what they mean. Nothing here is a 500."""

import asyncio
import base64
import codecs
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfly.config_core import InvalidConfigKeyError
from pyfly.config_core.limits import MAX_LIST_LENGTH, MAX_PATH_LENGTH
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    SharedCredential,
)
from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.endpoint import Root
from pyfly.config_server.http.endpoints import ENDPOINTS
from pyfly.config_server.http.negotiation import MAX_ELEMENTS, negotiate
from pyfly.config_server.http.routing import (
    MAX_PATH_BYTES,
    MAX_QUERY_BYTES,
    RouteTable,
    split_flattened,
)

pytestmark = pytest.mark.anyio
EXAMPLES = settings().max_examples

Ask = Callable[..., Any]
TABLE = RouteTable(ENDPOINTS, base_path="/c")
HEADERS = (
    *("accept", "accept-charset", "if-none-match", "if-modified-since", "if-match", "host"),
    *("content-type", "content-encoding", "origin", "cookie", "authorization"),
)


@pytest.fixture
async def ask() -> Ask:
    backend = InMemoryConfigBackend()
    await backend.save(ConfigSource(application="a", profile="b", properties={"x": "1"}))
    backend.put_resource("main", "one.txt", b"one")
    backend.put_resource("main", "large.txt", bytes(range(256)) * 4096)
    controller = Controller(ConfigServer(backend), auth=SharedCredential.bearer("t"))

    async def send(
        target: str, *, method: str = "GET", body: bytes = b"", **headers: str
    ) -> HttpResponse:
        async def read_body() -> bytes:
            return body

        path, _, query = target.partition("?")
        pairs = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()]
        return await controller.handle(
            HttpRequest(
                method=method,
                raw_path=path.encode("latin-1"),
                query=query.encode("latin-1"),
                headers=[(b"authorization", b"Bearer t"), *pairs],
                read_body=read_body,
            )
        )

    return send


def statuses(controller: Controller, *requests: HttpRequest) -> list[int]:
    """Send requests one after the other, all on one event loop."""

    async def send() -> list[int]:
        return [(await controller.handle(request)).status for request in requests]

    return asyncio.run(send())


# --- the route table ----------------------------------------------------------------------


def by_expression(expected: str, text: str) -> dict[str, str] | None:
    """What a segment holds, by a greedy expression: slow for long texts, and easy to read."""
    parts = re.split(r"\{(\w+)\}", expected)
    kinds = {"extension": "yml|yaml|json|properties"}
    groups = [
        f"(?P<{part}>{kinds.get(part, '.+')})" if position % 2 else re.escape(part)
        for position, part in enumerate(parts)
    ]
    found = re.fullmatch("(?s)" + "".join(groups), text)
    return found.groupdict() if found else None


names = st.text(alphabet="ab-._/", max_size=9) | st.from_regex(
    r"[a-]{0,6}\.?(ym?l|yaml|json|properties|)", fullmatch=True
)


@given(names)
@settings(max_examples=5 * EXAMPLES)
def test_flattened_names_are_split_as_by_a_greedy_expression(text: str) -> None:
    assert split_flattened(text) == by_expression("{name}-{profiles}.{extension}", text)


def expected_route(path: str, *, default_label: bool) -> tuple[str, dict[str, str]] | None:
    """The first endpoint whose segments match, by greedy expressions."""
    segments = path.split("/")
    for endpoint in ENDPOINTS:
        if endpoint.root is Root.HOST or (endpoint.selector and not default_label):
            continue
        template = endpoint.path[1:].split("/")
        takes_rest = template[-1] == "{path}" and not endpoint.selector
        rest = segments[len(template) - 1 :]
        takes = len(segments) == len(template) or (takes_rest and len(rest) > 1)
        found: dict[str, str] = {}
        for expected, text in zip(template, segments, strict=False):
            part = by_expression(expected, text)
            takes = takes and part is not None
            found |= part or {}
        if takes_rest:
            found["path"] = "/".join(rest)
        if endpoint.id.startswith(("environment", "resource")):
            file_like = re.match(r"(?s).*\b\.(?:ya?ml|properties|json)\b", [*segments, ""][1])
            takes = takes and not (len(segments) == 2 and file_like)
            takes = takes and not segments[0].startswith("_")
            takes = takes and segments[0] not in {"actuator", "monitor"}
        if endpoint.id.startswith("flattened"):
            takes = takes and not segments[0].startswith("_")
        if takes and all(segments) and endpoint.method == "GET":
            return endpoint.id, found
    return None


WORDS = (
    *("a", "a-b", "a-b.yml", "a-.json", "-a.yml", "x.yaml", "a.yml.b", "_x-y.yml", ""),
    *("_bundles", "history", "key", "encrypt", "decrypt", "status", "actuator", "monitor"),
)
words = st.sampled_from(WORDS)


@given(st.lists(words | st.text(alphabet="a-.yml", max_size=8), min_size=1, max_size=6))
@settings(max_examples=5 * EXAMPLES)
def test_routes_are_found_as_by_greedy_expressions(segments: list[str]) -> None:
    path = "/".join(segments)
    for query in (b"", b"useDefaultLabel"):
        match = TABLE.find(f"/c/{path}".encode(), "GET", query=query)
        expected = expected_route(path, default_label=bool(query))
        if match is None or match.methods:
            assert expected is None
        else:
            assert (match.endpoint.id, dict(match.parameters)) == expected


@given(st.binary(max_size=40))
@settings(max_examples=5 * EXAMPLES)
def test_any_bytes_have_a_route_or_none_or_are_not_acceptable(path: bytes) -> None:
    try:
        TABLE.find(b"/c/" + path, "GET")
    except InvalidConfigKeyError as error:
        assert error.field in {"path", "name", "profiles", "application", "profile", "version"}


# --- how long a target may be -------------------------------------------------------------


async def test_the_longest_legal_path_is_answered(ask: Ask) -> None:
    def escaped(text: str) -> str:
        return "".join("," if c == "," else f"%{ord(c):02X}" for c in text)

    name = "a(_)" * 63 + "aa"  # 128 characters, of which 63 are slashes
    names = escaped(",".join([name] * MAX_LIST_LENGTH))
    profiles = escaped(",".join(["p" * 64] * MAX_LIST_LENGTH))
    path = escaped("x" * MAX_PATH_LENGTH)
    target = f"/config/{names}/{profiles}/{names}/{path}"
    assert 0.98 * MAX_PATH_BYTES < len(target) <= MAX_PATH_BYTES + len("/config")
    assert (await ask(target)).status == 404  # there is no such label, and all of it was read


async def test_a_longer_target_is_414_and_says_so_in_the_form_of_its_route(ask: Ask) -> None:
    for target in (
        "/config/" + "a" * MAX_PATH_BYTES + "x",
        "/config/" + "-" * 40_000 + "." * 40_000,
        "/config/a/b?x=" + "y" * MAX_QUERY_BYTES,
        "/config/_bundles?cursor=" + "y" * MAX_QUERY_BYTES,
    ):
        for method in ("GET", "HEAD", "OPTIONS", "PUT"):
            assert (await ask(target, method=method)).status == 414, target[:40]
    problem = await ask("/config/_bundles?cursor=" + "y" * MAX_QUERY_BYTES)
    assert json.loads(problem.body)["code"] == "target-too-long"
    error = await ask("/config/" + "a" * MAX_PATH_BYTES + "x")
    assert json.loads(error.body)["status"] == 414


@pytest.mark.measured
@pytest.mark.parametrize(
    "path",
    [
        *("-" * 29_000 + "." * 29_000, "-" * 29_000 + "." * 29_000 + "/x", "/" * 58_000),
        *("a-" * 29_000 + ".yml", "x/" + ".yml" * 14_000, "x/" + "%61/" * 14_000),
        *("%" * 58_000, "%2D" * 19_000, "a/" * 29_000 + "a", "x/y/z/" + "-." * 29_000),
    ],
    ids=lambda path: f"{path[:6]}...{path[-6:]}",
)
async def test_matching_takes_time_in_proportion_to_the_path(ask: Ask, path: str) -> None:
    began = time.process_time()
    assert (await ask("/config/" + path)).status in {400, 404}
    assert time.process_time() - began < 0.1  # measured: below 0.01


async def test_a_log_line_repeats_the_beginning_of_a_path(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "pyfly.config_server.http.controller"):
        assert (await ask("/config/" + "a" * 50_000 + "/b")).status == 400
    assert [1_000 < len(record.getMessage()) < 1_300 for record in caplog.records] == [True]


# --- headers ------------------------------------------------------------------------------


@pytest.mark.measured
@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "*," * 30_000},
        {"accept": "a/b;" * 15_000},
        {"accept": "a/b;q=0.1," * 6_000},
        {"if_none_match": '"a",' * 15_000},
        {"if_none_match": '"' * 60_000},
        {"if_none_match": "W/" * 30_000},
        {"if_modified_since": "Mon, " * 12_000},
        {"if_modified_since": "9" * 60_000},
        {"accept_charset": "x," * 30_000},
        {"accept_charset": "punycode, idna, utf-7" + "," * 60_000},
        {"cookie": "a=b;" * 15_000},
        {"x" * 60_000: "y"},
    ],
    ids=lambda headers: str(headers)[:24],
)
async def test_a_header_of_60_kb_costs_little(ask: Ask, headers: dict[str, str]) -> None:
    for target in ("/config/a/b", "/config/a-b.yml", "/config/a/b/main/one.txt"):
        began = time.process_time()
        assert (await ask(target, **headers)).status in {200, 304, 406}
        assert time.process_time() - began < 0.06  # measured: below 0.01


@pytest.mark.measured
async def test_thousands_of_headers_cost_little() -> None:
    controller = Controller(ConfigServer(InMemoryConfigBackend()), auth=None)
    headers = [(b"accept", b"a/b")] * 6_000 + [(b"Accept-Charset", b"x")] * 6_000
    request = HttpRequest(method="GET", raw_path=b"/config/a/b", headers=headers)
    began = time.process_time()
    assert (await controller.handle(request)).status == 406
    assert time.process_time() - began < 0.1  # measured: below 0.03


def test_the_first_elements_of_an_accept_header_are_looked_at() -> None:
    accept = ", ".join(["a/b"] * (MAX_ELEMENTS - 1)) + ", application/json, x/y"
    offered = ("application/json", "x/y")
    assert negotiate(accept.encode(), offered) == "application/json"
    assert negotiate(accept.encode(), ("x/y",)) is None


@given(
    name=st.sampled_from(HEADERS),
    value=st.binary(max_size=60) | st.from_regex(rb"[A-Za-z*/,;=\"0-9. :+-]{0,60}", fullmatch=True),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "X"]),
)
@settings(max_examples=3 * EXAMPLES // 2)
def test_no_header_is_a_500(name: str, value: bytes, method: str) -> None:
    backend = InMemoryConfigBackend()
    backend.put_resource("main", "one.txt", b"one")
    controller = Controller(ConfigServer(backend), auth=SharedCredential.bearer("t"))
    headers = [(b"authorization", b"Bearer t"), (name.encode(), value)]
    requests = [
        HttpRequest(method=method, raw_path=path, headers=headers)
        for path in (b"/config/a/b", b"/config/a/b/main/one.txt", b"/config/_bundles/a/b/main")
    ]
    assert max(statuses(controller, *requests)) < 500


@pytest.mark.parametrize(
    "date",
    [
        *("Fri, 31 Dec 9999999999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -9999"),
        *("Thu, 01 Jan 1970 00:00:00 +9999999999", "Mon, 01 Jan 0000 00:00:00 GMT"),
        *("Mon, 99 Jan 2026 00:00:00 GMT", "", ",", " ", "GMT", "0", "-1", "Mon", "Mon, 1 Jan"),
        *("Mon, 01 Jan 2026", "Mon, 01 Jan 2026 ::: GMT", "Mon, 01 Jan 2026 00:00:00 -0000"),
        *("Mon, 01 Jan 99999 00:00:00 GMT", "\xff", "1 2 3 4 5", "Mon Jan  1 00:00:00 2026"),
    ],
)
async def test_what_is_no_date_is_ignored(ask: Ask, date: str) -> None:
    answer = await ask("/config/a/b/main/one.txt", if_modified_since=date)
    assert (answer.status, answer.body) == (200, b"one")


# --- charsets -----------------------------------------------------------------------------


def test_a_charset_of_a_client_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def search(name: str) -> None:
        asked.append(name)

    codecs.register(search)
    try:
        for name in ("punycode", "idna", "never-heard-of", "a b", "\0", "utf-7", "hex", ""):
            assert decode(b"x", name) is None
    finally:
        codecs.unregister(search)
    assert asked == []


@pytest.mark.parametrize(
    ("charset", "content"),
    [
        *(("utf-8", "ü".encode()), ("UTF-8", "ü".encode()), (' "utf8" ', "ü".encode())),
        *(("ISO-8859-1", b"\xfc"), ("latin1", b"\xfc"), ("iso-8859-15", b"\xfc")),
        *(("windows-1252", b"\xfc"), ("utf-16", b"\0\xfc"), ("UTF-16BE", b"\0\xfc")),
        *(("utf-16le", b"\xfc\0"), ("utf-16", b"\xff\xfe\xfc\0"), ("utf-16", b"\xfe\xff\0\xfc")),
    ],
)
def test_the_charsets_that_java_and_the_web_know_are_decoded(charset: str, content: bytes) -> None:
    assert decode(content, charset) == "ü"


@pytest.mark.measured
async def test_a_large_file_in_any_charset_is_decoded_in_little_time(ask: Ask) -> None:
    for charset in ("punycode", "gb18030", "euc-jp", "big5", "utf-16", "us-ascii", "windows-1258"):
        began = time.process_time()
        assert (await ask("/config/a/b/main/large.txt", accept_charset=charset)).status == 200
        assert time.process_time() - began < 0.6, charset  # measured: below 0.2


# --- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", '{"a": "ü"}'.encode(), 201),
        ("application/json; charset=utf-8", '{"a": "ü"}'.encode(), 201),
        ('application/json;charset="UTF-16LE"', '{"a": "ü"}'.encode("utf-16-le"), 201),
        ("application/yaml; charset=ISO-8859-1", "a: ü".encode("latin-1"), 201),
        ("application/json; charset=us-ascii", '{"a": "ü"}'.encode(), 400),
        ("application/json; charset=utf-8", '{"a": "ü"}'.encode("latin-1"), 422),
        ("application/json; charset=punycode", b'{"a": 1}', 415),
        ("application/json; charset=hex", b"7b7d", 415),
    ],
)
async def test_a_body_is_read_in_the_charset_that_it_names(
    ask: Ask, content_type: str, body: bytes, status: int
) -> None:
    path = "/config/_bundles/new/b/main"
    answer = await ask(path, method="PUT", body=body, content_type=content_type, if_none_match="*")
    assert answer.status == status
    if status == 201:
        assert json.loads((await ask(path)).body)["properties"] == {"a": "ü"}


# --- queries ------------------------------------------------------------------------------


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


async def refused(ask: Ask, query: str) -> bool:
    answer = await ask(f"/config/_bundles?{query}")
    return answer.status == 400 and json.loads(answer.body)["code"] in {
        "invalid-query",
        "invalid-name",
    }


async def test_a_cursor_that_was_not_given_out_is_refused(ask: Ask) -> None:
    texts = ["[[],[],[]]", "[" * 3_000, '["main","a","b"]', "main\na", "main\na\nb\nc", "\n\n", ""]
    texts += ["main\na\n-b", "../x\na\nb", "\0\n\0\n\0", "9" * 5_000]
    for text in texts:
        cursor = base64.urlsafe_b64encode(text.encode()).decode()
        assert await refused(ask, f"cursor={cursor}"), text[:20]
    for cursor in ("x", "=", "====", "%00", "%C3%BC", "a b", "+", "/w", "_w", "W10", "é"):
        assert await refused(ask, f"cursor={cursor}"), cursor


@given(values | st.binary(max_size=30))
@settings(max_examples=2 * EXAMPLES)
def test_no_cursor_is_a_500(value: object) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    controller = Controller(ConfigServer(InMemoryConfigBackend()), auth=None)
    query = b"cursor=" + base64.urlsafe_b64encode(data)
    request = HttpRequest(method="GET", raw_path=b"/config/_bundles", query=query)
    assert statuses(controller, request) == [400]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=-1", "limit=1001", "limit=" + "9" * 5_000, "limit=00001", "limit=1e3"),
        *("limit=000000100" + "0" * 5_000, "limit=%D9%A1", "limit=", "limit=1&limit=2", "x=1"),
        *("profile=a,b", "label=", "application=%FF", "&".join(["a"] * 4_000), "cursor"),
    ],
    ids=lambda query: query[:24],
)
async def test_what_a_listing_does_not_take_is_refused(ask: Ask, query: str) -> None:
    assert await refused(ask, query)


@given(st.text(max_size=30) | st.from_regex(r"[a-zA-Z&=%0-9;+]{0,40}", fullmatch=True))
@settings(max_examples=3 * EXAMPLES // 2)
def test_no_query_is_a_500(text: str) -> None:
    backend = InMemoryConfigBackend()
    backend.put_resource("main", "one.txt", b"one")
    controller = Controller(ConfigServer(backend), auth=None)
    names = ("resolvePlaceholders", "keys")
    queries = (quote(text, safe="&=%;+"), *(f"{name}={quote(text)}" for name in names))
    requests = [
        HttpRequest(method="GET", raw_path=b"/config/" + path, query=query.encode())
        for path in (b"a-b.yml", b"a/b/one.txt", b"a/b/main/one.txt", b"_bundles")
        for query in queries
    ]
    assert max(statuses(controller, *requests)) < 500
