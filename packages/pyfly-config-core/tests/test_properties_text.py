"""`.properties` files, as `java.util.Properties` reads them."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.properties import parse_properties
from pyfly.config_server.formats.text import parse_documents


def parsed(data: str | bytes) -> list[Any]:
    raw = data if isinstance(data, bytes) else data.encode()
    return [document.properties for document in parse_documents(raw, suffix=".properties")]


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a=1", {"a": "1"}),
        ("a = 1 ", {"a": "1 "}),
        ("a:1\nb: 2\nc 3\nd\t4\ne", {"a": "1", "b": "2", "c": "3", "d": "4", "e": ""}),
        ("  a=1\n\t b=2", {"a": "1", "b": "2"}),
        ("# c\n! c\n\na=1\n  # c", {"a": "1"}),
        ("a=b=c:d", {"a": "b=c:d"}),
        (r"a\ b=1", {"a b": "1"}),
        (r"a\=b\:c=1", {"a=b:c": "1"}),
        ("a=x\\\n   y\\\n\tz", {"a": "xyz"}),
        ("a=x\\\r\n  y\r\nb=2\rc=3", {"a": "xy", "b": "2", "c": "3"}),
        ("a=x\\\\\nb=2", {"a": "x\\", "b": "2"}),
        ("# c\\\na=1", {"a": "1"}),
        ("a=x\\\n# y", {"a": "x# y"}),
        (r"a=\t\n\r\f\q\u00e9\\", {"a": "\t\n\r\fqé\\"}),
        (r"a=\ud83d\ude00", {"a": "😀"}),
        ("a=ü", {"a": "ü"}),
        ("a=1\na=2", {"a": "2"}),
        ("list[0]=x\nlist[1]=y", {"list[0]": "x", "list[1]": "y"}),
        ("=1\n: 2\na=3", {"a": "3"}),
        ("a==1", {"a": "=1"}),
        ("a : = 1", {"a": "= 1"}),
        ("\ufeffa=1", {"a": "1"}),
    ],
)
def test_lines_are_read_as_java_reads_them(text: str, properties: dict[str, str]) -> None:
    assert parsed(text) == [properties]


def test_bytes_that_are_no_utf_8_are_latin_1() -> None:
    assert parsed(b"a=\xfc") == [{"a": "ü"}]


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a=1\n#---\nb=2\n!---  \nc=3", [{"a": "1"}, {"b": "2"}, {"c": "3"}]),
        ("a=1\n#---\n#---\n!---\nb=2\n#---", [{"a": "1"}, {"b": "2"}]),
        ("a=1\n#--- x\n#----\n# ---\n#--\n  #---\nb=2", [{"a": "1", "b": "2"}]),
        ("a=1\\\n#---\nb=2", [{"a": "1#---", "b": "2"}]),
        ("a=1\n# x\n#---\nb=2", [{"a": "1", "b": "2"}]),
        ("a=1\n! x\n#---\nb=2", [{"a": "1"}, {"b": "2"}]),
        ("a=1\n# x\n\n#---\nb=2", [{"a": "1"}, {"b": "2"}]),
        ("a=1\n#---\n\n! x\nb=2", [{"a": "1", "b": "2"}]),
        ("a=1\n#---\nb=2\n# x\nc=3", [{"a": "1"}, {"b": "2", "c": "3"}]),
        ("# x\n#---\na=1", [{"a": "1"}]),
        ("", []),
        ("# nothing\n", []),
    ],
)
def test_documents_are_separated_by_a_line_of_dashes_without_a_comment_beside_it(
    text: str, documents: list[Any]
) -> None:
    assert parsed(text) == documents


def test_values_have_the_place_where_they_begin() -> None:
    (document,) = parse_documents(b"# c\na = 1\nlong.key:x\\\n  y\n", suffix=".properties")
    assert document.origins == {"a": "2:5", "long.key": "3:10"}


@pytest.mark.parametrize("text", [r"a=\u12", r"a=\uxyzw", r"a=\ud83d", r"a\u=1", "a=\\u"])
def test_a_broken_escape_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigFormatError, match="line 2"):
        parsed(f"b=1\n{text}")


def test_a_file_has_a_limit() -> None:
    with pytest.raises(ConfigFormatError, match="larger than 1,048,576 bytes"):
        parsed(b"a" * 1_048_577)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parsed(text.encode("utf-8", "surrogatepass"))
    except ConfigFormatError:
        return
    assert all(isinstance(value, str) for tree in found for value in tree.values())


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    "text",
    [
        "".join(f"a{number}=1\n" for number in range(15_000)) + "#---\n#x\n" * 100_000,
        "a=1\\\n" * 150_000,
        "\n" * 1_000_000,
        "a=" + "\\\\" * 500_000,
        "a=" + "\\u0041" * 150_000,
        "\\ " * 500_000,
    ],
    ids=["separators", "continued", "blank", "backslashes", "escapes", "key"],
)
def test_a_text_of_1_mib_is_read_in_a_second(text: str) -> None:
    before = time.process_time()
    parse_properties(text.encode(), limit=1_048_576)
    assert time.process_time() - before < 3 * 1.0


@pytest.mark.parametrize("text", ["{}=1\n", "{}\n#---\n"])
def test_more_than_20_000_properties_of_all_documents_are_refused(text: str) -> None:
    data = "".join(text.replace("{}", f"k{number}") for number in range(20_001)).encode()
    with pytest.raises(ConfigFormatError, match="more than 20,000 properties"):
        parse_properties(data, limit=1_048_576)
