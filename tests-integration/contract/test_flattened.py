"""Conformance cases 56 to 70: the flattened formats, on both adapters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import FilesystemConfigBackend

pytestmark = pytest.mark.anyio

PROPERTIES = """\
b: 1
a: over-1
server.port: 8080
server.name: none
flag: true
ratio: 1.0
c: deep
list[0]: z"""
JSON = (
    '{"b":1,"a":"over-1","server":{"port":8080,"name":"none"},"flag":true,"ratio":1.0,'
    '"c":"deep","list":["z"]}'
)
YAML = """\
b: 1
a: over-1
server:
  port: 8080
  name: none
flag: true
ratio: 1.0
c: deep
list:
- z
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def fx_b(write: Write) -> None:
    """Two profiles with lists and placeholders."""
    write(
        "main/flat-default.yaml",
        'b: 1\na: "${c}"\nlist: [x, y]\nserver: {port: 8080, name: "${app.name:none}"}\n'
        "flag: true\nratio: 1.0\n",
    )
    write("main/flat-prod.yaml", 'a: "over-${b}"\nlist: [z]\nc: deep\n')


@pytest.fixture
def text(write: Write, ask: Any) -> Callable[..., Any]:
    """Store a file for the application `app`; return what is answered for it."""

    async def get(content: str, extension: str = "json", **headers: str) -> Any:
        write("main/app-default.yaml", content)
        headers |= {"Cache-Control": "no-cache"}  # the file may have been read before
        return await ask(f"/config/app-default.{extension}", headers=headers)

    return get


@pytest.mark.case(56, 57, 58)
@pytest.mark.parametrize(
    ("extension", "body", "media_type"),
    [
        ("properties", PROPERTIES, "text/plain"),
        ("json", JSON, "application/json"),
        ("yml", YAML, "text/plain"),
        ("yaml", YAML, "text/plain"),
    ],
)
@pytest.mark.parametrize("accept", [None, "application/json", "image/png"])
async def test_the_worked_example_is_byte_exact_whatever_is_accepted(
    fx_b: None, ask: Any, extension: str, body: str, media_type: str, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await ask(f"/config/flat-prod.{extension}", headers=headers)
    assert (answer.status, answer.body.decode()) == (200, body)
    assert answer.headers["content-type"].split(";")[0] == media_type
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await ask(f"/config/flat-prod.{extension}", headers=known)).status == 304


@pytest.mark.case(59)
async def test_placeholders_are_kept_on_demand(fx_b: None, ask: Any) -> None:
    for word in ("false", "off", "NO", "0"):
        answer = await ask(f"/config/flat-prod.json?resolvePlaceholders={word}")
        assert answer.json["a"] == "over-${b}"
        assert answer.json["server"]["name"] == "${app.name:none}"
    for word in ("true", "On", "yes", "1", ""):
        answer = await ask(f"/config/flat-prod.json?resolvePlaceholders={word}&other=x")
        assert answer.body.decode() == JSON
    answer = await ask("/config/flat-prod.json?resolvePlaceholders=0&resolvePlaceholders=1")
    assert answer.json["a"] == "over-${b}"
    for word in ("maybe", "2", "tru"):
        for extension in ("json", "yml", "properties"):
            path = f"/config/flat-prod.{extension}?resolvePlaceholders={word}"
            assert (await ask(path)).status == 400


@pytest.mark.case(60)
async def test_a_label_stands_in_front(fx_b: None, fx_a: None, ask: Any) -> None:
    assert (await ask("/config/main/flat-prod.json")).json["a"] == "over-1"
    for label in ("feature(_)x", "feature%2Fx", "feature%28_%29x"):
        answer = await ask(f"/config/{label}/orders-default.json")
        assert answer.body == b'{"who":"feature"}'
    assert (await ask("/config/nolabel/flat-prod.json")).status == 404
    assert (await ask("/config/rel,main/orders-prod.json")).json == {"who": "orders-prod"}


@pytest.mark.case(61, 62)
async def test_a_name_is_split_at_the_last_dash(write: Write, ask: Any) -> None:
    write("main/a-b-c-prod.yaml", "who: a-b-c\n")
    write("main/a-b-c-eu.yaml", "who: eu\n")
    assert (await ask("/config/a-b-c-prod.json")).json == {"who": "a-b-c"}
    assert (await ask("/config/a-b-c-prod,eu.json")).json == {"who": "eu"}
    assert (await ask("/config/a-b-c-eu,prod.json")).json == {"who": "a-b-c"}
    for path in ("-x.yml", "foo-.yml", "orders.yml", "main/orders.yml", "a-b.YML", "_x-y.json"):
        assert (await ask(f"/config/{path}")).status == 404
    for path in ("a-b%2Fc.json", "a-b..c.json", "a..b-c.json", "a-b,.json", "a-b!.json"):
        assert (await ask(f"/config/{path}")).status == 400


@pytest.mark.case(63)
async def test_nothing_stored_is_an_empty_text(write: Write, ask: Any) -> None:
    write("main/other-default.yaml", "a: 1\n")
    for extension, body in (("yml", b"{}\n"), ("json", b"{}"), ("properties", b"")):
        answer = await ask(f"/config/app-default.{extension}")
        assert (answer.status, answer.body) == (200, body)


@pytest.mark.case(64)
async def test_a_list_is_replaced_whole(write: Write, ask: Any) -> None:
    write("main/app-default.yaml", "l: [1, 2, 3]\nm: {l: [{a: 1, b: 2}]}\n")
    write("main/app-prod.yaml", "l: [9]\nm: {l: [{a: 3}]}\n")
    assert (await ask("/config/app-prod.json")).json == {"l": [9], "m": {"l": [{"a": 3}]}}
    document = (await ask("/config/app/prod")).json
    assert [len(source["source"]) for source in document["propertySources"]] == [2, 5]


@pytest.mark.case(65)
async def test_a_key_below_a_single_value_becomes_one_key(text: Any) -> None:
    answer = await text("org.x: W\norg.x.y: E\n", "yml")
    assert answer.body == b"org:\n  x: W\n  x.y: E\n"


@pytest.mark.case(66)
async def test_brackets_that_hold_no_number_belong_to_the_key(text: Any) -> None:
    assert (await text("a.b[hello]: c\n")).json == {"a": {"b[hello]": "c"}}


@pytest.mark.case(67)
async def test_a_list_alone_is_shown_without_its_key(text: Any) -> None:
    assert (await text("- c\n- d\n", "yml")).body == b"- c\n- d\n"
    assert (await text("just text\n", "yml")).body == b"just text\n"
    assert (await text("- c\n", "json")).json == {"document": ["c"]}


async def test_the_key_of_a_list_alone_can_be_kept(
    root: Path, write: Write, serve: Callable[..., Any]
) -> None:
    write("main/app-default.yaml", "- c\n")
    ask = serve(FilesystemConfigBackend(root), strip_document_from_yaml=False)
    assert (await ask("/config/app-default.yml")).body == b"document:\n- c\n"


@pytest.mark.case(68)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: ${missing}", {"a": "${missing}"}),
        ("a: ${missing:dflt}", {"a": "dflt"}),
        ("a: ${missing:}", {"a": ""}),
        ("a: ${missing:b:c}", {"a": "b:c"}),
        (r"a: \${x}", {"a": "${x}"}),
        (r"a: \\${x}", {"a": "${x}"}),
        ("a: ${b}\nb: ${c}\nc: 1", {"a": "1", "b": "1", "c": 1}),
        ("a: ${b${c}}\nb1: x\nc: 1", {"a": "x", "b1": "x", "c": 1}),
        ("a: ${x:${c}}\nc: 1.0", {"a": "1.0", "c": 1.0}),
        ("a: ${c}\nc: true", {"a": "true", "c": True}),
        ("a: ${l[1]} ${l}\nl: [1, 2]", {"a": "2 ${l}", "l": [1, 2]}),
        ("a: ${b}\nb: ${none}-", {"a": "${none}-", "b": "${none}-"}),
        ("a: ${b ${c}\nc: 1", {"a": "${b 1", "c": 1}),
        ("a: ${ c }\nc: 1", {"a": "1", "c": 1}),
        ("a: '${x.${q:}z}'", {"a": "${x.z}"}),
        ("a: '${${c}}'\nc: d\nd: 2", {"a": "2", "c": "d", "d": 2}),
    ],
)
async def test_placeholders_are_replaced_from_the_document(
    text: Any, content: str, expected: Any
) -> None:
    assert (await text(content)).json == expected


@pytest.mark.case(68)
@pytest.mark.parametrize("content", ["a: ${a}", "a: ${b}\nb: ${a}", "a: 'x${b:${a}}'"])
@pytest.mark.parametrize("extension", ["json", "yml", "properties"])
async def test_a_placeholder_that_leads_back_to_itself_is_refused(
    text: Any, content: str, extension: str
) -> None:
    answer = await text(content, extension)
    assert answer.status == 400
    assert "leads back to itself" in answer.json["message"]


@pytest.mark.parametrize("content", ["'a..b': marker", "'.a': marker", "'[0]': marker"])
async def test_a_key_that_is_no_path_is_refused_where_a_tree_is_built(
    text: Any, content: str
) -> None:
    for extension in ("json", "yml"):
        answer = await text(content, extension)
        assert answer.status == 400
        assert "marker" not in answer.body.decode()
    assert (await text(content, "properties")).status == 200


@pytest.mark.parametrize(
    "content",
    [
        "'a[999999999]': 1",
        "\n".join(f"'a{number}[19999]': 1" for number in range(100)),
        "\n".join(f"'a{number}': '${{a{number + 1}}}${{a{number + 1}}}'" for number in range(60))
        + "\na60: 'xxxxxxxxxx'",
        "a: " + "${" * 70 + "b" + "}" * 70,
    ],
)
async def test_what_would_grow_without_end_is_refused_quickly(text: Any, content: str) -> None:
    assert (await text(content)).status == 400


async def test_many_open_placeholders_take_linear_time(text: Any) -> None:
    answer = await text(json.dumps({"a": "${" * 100_000, "b": "{" * 100_000}))
    assert answer.json["a"] == "${" * 100_000


@pytest.mark.case(69)
async def test_the_servers_environment_is_not_consulted(
    text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKER", "secret")
    for extension in ("json", "yml", "properties"):
        answer = await text("a: ${MARKER} ${PATH}\nb: ${HOME:none}", extension)
        assert "secret" not in answer.body.decode()
        assert "${MARKER} ${PATH}" in answer.body.decode()


@pytest.mark.case(70)
async def test_the_retired_key_is_left_out(text: Any) -> None:
    content = "spring: {profiles: x, config: {y: 1}}\nspring.profiles.active: dev"
    found = (await text(content)).json
    assert found == {"spring": {"config": {"y": 1}, "profiles": {"active": "dev"}}}


async def test_texts_are_quoted_where_they_would_read_as_something_else(text: Any) -> None:
    content = "a: '8080'\nb: 'true'\nc: 2001-12-14\nd: ''\ne: |\n  one\n  two\nf: 1e10\ng: y\nh: ~"
    answer = await text(content, "yml")
    assert answer.body.decode() == (
        "a: '8080'\nb: 'true'\nc: '2001-12-14'\nd: ''\ne: |\n  one\n  two\nf: 1.0E10\ng: y\nh: ''\n"
    )


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("5", "'5'\n"),
        ("1e10", "'1.0E10'\n"),
        ("yes", "'true'\n"),
        ("|\n a\n b\n", "|\n  a\n  b\n"),
        ("document: {a: 1}", "a: 1\n"),
    ],
)
async def test_a_value_alone_is_shown_as_a_text(text: Any, content: str, shown: str) -> None:
    assert (await text(content, "yml")).body.decode() == shown


async def test_digits_behind_a_zero_are_quoted(text: Any) -> None:
    content = "a: 08\nb: '0_8'\nc: -08\nd: '01'\n'09': 0x\n"
    answer = await text(content, "yml")
    assert answer.body.decode() == "a: '08'\nb: '0_8'\nc: -08\nd: '01'\n'09': 0x\n"


async def test_floats_and_texts_are_written_as_java_does(text: Any) -> None:
    answer = await text("a: 1.0\nb: 1e10\nc: 1e-4\nd: true\ne: ''\nf: ü", "properties")
    assert answer.body.decode() == "a: 1.0\nb: 1.0E10\nc: 1.0E-4\nd: true\ne: \nf: ü"
