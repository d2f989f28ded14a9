import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.text import (
    dump_text,
    holds_several_documents,
    parse_documents,
    parse_text,
)

SCALARS: Any = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        [
            "1e3",
            "010",
            "yes",
            "12:30",
            "=",
            "~",
            "2001-12-14",
            "<<",
            "0b1",
            "1_000",
            "null",
            ".inf",
            "0x1F",
            "._",
        ]
    )
    | st.sampled_from(["-", "?", ":", "#", "---", "...", "a:b"])
)
KEYS: Any = st.text(max_size=40) | st.sampled_from(["1", "yes", "~", "<<", "a b", "- a", "[0]"])
TREES: Any = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=15,
    ),
    max_size=5,
)


def exact(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, exact(item)) for key, item in value.items()]
    if isinstance(value, list):
        return ["list", *map(exact, value)]
    return type(value).__name__, repr(value)


@given(TREES, st.sampled_from([".yaml", ".yml", ".json"]))
def test_what_is_dumped_comes_back_exactly(tree: Any, suffix: str) -> None:
    assert exact(parse_text(dump_text(tree, suffix=suffix), suffix=suffix)) == exact(tree)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    for suffix in (".yaml", ".json"):
        try:
            assert isinstance(parse_text(data, suffix=suffix), dict)
        except ConfigFormatError:
            continue


def test_infinities_are_kept_by_yaml_and_refused_by_json() -> None:
    tree = {"a": math.inf, "b": -math.inf, "c": math.nan}
    assert exact(parse_text(dump_text(tree, suffix=".yaml"), suffix=".yaml")) == exact(tree)
    with pytest.raises(ConfigFormatError, match="cannot hold infinities"):
        dump_text(tree, suffix=".json")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x" * 300_000, "cannot hold these properties: a value is longer than 262,144"),
        (10**1100, "cannot hold these properties: a number has more than 1,024"),
    ],
)
def test_what_yaml_cannot_hold_is_refused_without_a_line_of_a_text_that_nobody_wrote(
    value: Any, said: str
) -> None:
    with pytest.raises(ConfigFormatError, match=said) as caught:
        dump_text({"a": value}, suffix=".yaml")
    assert caught.value.line is None


@pytest.mark.parametrize(
    ("data", "suffix", "said"),
    [
        (b"a: 1\nb: [\n", ".yaml", "line 3"),
        (b"a: 1\na: 2\n", ".yaml", "line 2, column 1: a key is given twice"),
        (b"a: {b: 1, b: 2}", ".yaml", "line 1, column 11"),
        (b"a: 1\n---\nb: 2\n", ".yaml", "several documents"),
        (b"a: *x\n", ".yaml", "line 1, column 4: an alias has no anchor"),
        (b"a: &x [*x]\n", ".yaml", "line 1, column 8: an alias has"),
        (b"~: 1\n", ".yaml", "not null"),
        (b"? [a]\n: 1\n", ".yaml", "single value"),
        (b"a: !!python/object:x {}\n", ".yaml", "tag is not supported"),
        (b"a: !x 1\n", ".yaml", "tag is not supported"),
        (b"a: !!int x\n", ".yaml", "not of the type !!int"),
        (
            b"a: !!int " + b"1:59" * 50_000,
            ".yaml",
            "line 1, column 4: a number has more than 1,024",
        ),
        (b"a: !!int 0x" + b"f" * 50_000, ".yaml", "line 1, column 4: a number has more than 1,024"),
        (b"%TAG !a! x\n" * 101 + b"--- a\n", ".yaml", "more than 100 lines begin with %TAG"),
        (b"---\na: 1\n" * 30_000, ".yaml", "50,000 mappings, lists and values"),
        (b"---\n" * 60_000, ".yaml", "50,000 mappings, lists and values"),
        (b"a: [" + b"[]," * 50_000 + b"]", ".yaml", "50,000 mappings, lists and values"),
        (b'{"a": [' + b"{}," * 50_000 + b"{}]}", ".json", "more than 50,000 objects"),
        (b"[" + b"1," * 50_000 + b"1]", ".json", "50,000 mappings, lists and values"),
        (b"[" * 80 + b"]" * 80, ".json", "deeper than 64 levels"),
        (b'["\\ud800"]', ".json", "'document[0]' is not valid Unicode"),
        (b'"\\ud800"', ".json", "'document' is not valid Unicode"),
        (b'{"a": {"\\ud800": 1}}', ".json", r"'a.\ud800' is not valid Unicode"),
        (b"a: ._\n", ".yaml", "line 1, column 4: a number has no digits"),
        (b"a: b\0c\n", ".yaml", "line 1: a character is not allowed"),
        (b"\xff\xfea", ".yaml", "not UTF-8 at byte 0"),
        (b"a: " + b"x" * 300_000, ".yaml", "longer than 262,144"),
        (b"? " + b"x" * 5_000 + b"\n: 1\n", ".yaml", "a key is longer"),
        (b" " * 1_048_577, ".yaml", "larger than 1,048,576"),
        (b'{"a": 1, "a": 2}', ".json", "given twice"),
        (b'{"a": NaN}', ".json", "NaN is not JSON"),
        (b'{"a": 1,\n "b": }', ".json", "line 2, column 7"),
        (b"[" * 100_000, ".json", "nested"),
        (b'{"a": ' + b"9" * 5_000 + b"}", ".json", "too long"),
        (b'{"a": [1e400]}', ".json", "beyond 1.8e308"),
        (b'{"a": -1.0e+999}', ".json", "beyond 1.8e308"),
        (b'{"a": "\\ud800"}', ".json", "Unicode"),
    ],
)
def test_a_bad_text_is_refused_with_its_place(data: bytes, suffix: str, said: str) -> None:
    with pytest.raises(ConfigFormatError) as caught:
        parse_text(data, suffix=suffix)
    assert said in str(caught.value)


def test_no_error_shows_what_the_file_holds() -> None:
    for text in (
        "a: [marker",
        "a: marker: marker",
        "a: 'marker",
        "a: *marker",
        "a: !marker x",
        "marker: 1\nmarker: 2",
        "a: !!int marker",
        "%marker x\n---\na: 1",
    ):
        with pytest.raises(ConfigFormatError) as caught:
            parse_text(text.encode(), suffix=".yaml")
        assert "marker" not in str(caught.value), text


@pytest.mark.parametrize(
    ("data", "tree"),
    [
        (b"", {}),
        (b"# nothing\n", {}),
        (b"---\n---\n# x\n", {}),
        (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
        (b"- a\n", {"document": ["a"]}),
        (b"just text\n", {"document": "just text"}),
        (b"---\na: 1\n---\n---\n", {"a": 1}),
        (b"''\n", {}),
        (b"[]\n", {}),
        (b"' '\n", {"document": " "}),
        (b"0\n", {"document": 0}),
        (b"no\n", {"document": False}),
    ],
)
def test_what_is_at_the_top(data: bytes, tree: Any) -> None:
    assert parse_text(data, suffix=".yaml") == tree


def test_a_document_that_is_an_empty_text_or_list_does_not_count() -> None:
    documents = parse_documents(b"a: 1\n---\n''\n---\n[]\n---\n{}\n---\nb: 2\n", suffix=".yaml")
    assert [document.properties for document in documents] == [{"a": 1}, {}, {"b": 2}]


@pytest.mark.parametrize(
    ("data", "several"),
    [
        (b"a: 1\n", False),
        (b"---\na: 1\n", False),
        (b"# comment\n---\na: 1\n...\n", False),
        (b"%YAML 1.1\n---\na: 1\n", False),
        (b"a: 1\n---\n# only a comment\n", False),
        (b"a: 1\n---\nb: 2\n", True),
        (b"a: [broken\n---\nb: 2\n", True),
        (b"--- a\n--- b\n", True),
        (b"a: '---'\nb: 1 --- 2\n", False),
        (b"a: 1\n...\nb: 2\n", True),
        (b"a: 1\n... # end\n# comment\n", False),
        (b"a: 1\n...x\n", False),
        (b"a: 1\r---\rb: 2\r", True),
        ("a: 1\x85---\x85b: 2".encode(), True),
        ("a: 1\u2028---\u2029b: 2".encode(), True),
        (b"a: 1\n---x\n", False),
        (b"a: 1\n---\n  \t\n\n   # x\n---\n", False),
        (b"a: \xff\n---\nb: 1\n", True),
    ],
)
def test_files_of_several_documents_are_recognised(data: bytes, several: bool) -> None:
    assert holds_several_documents(data, suffix=".yaml") is several


LEVELS = range(1, 12)
BOMBS = {
    "aliases": "a0: &a0 [x, x]\n"
    + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in LEVELS),
    "merges": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in LEVELS),
    "quadratic": "a: &a [" + "x," * 40_000 + "]\nb: [" + "*a," * 900 + "]",
    "many aliases": "a: &a 1\nb: [" + "*a," * 2_000 + "]",
    "brackets": "[" * 1_000_000,
    "braces": "{a: " * 30_000,
    "indentation": "\n".join(f"{' ' * n}a:" for n in range(1_000)),
    "self reference": "a: &a {b: *a}",
    "python": "a: !!python/object/apply:os.system ['true']",
}


@pytest.mark.slow
@pytest.mark.case("S15")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_line_within_little_memory(name: str) -> None:
    script = """
import resource, sys
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.text import parse_text

resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
try:
    parse_text(sys.stdin.buffer.read(), suffix=".yaml")
except ConfigFormatError as error:
    print(error.line, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=BOMBS[name].encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].isdigit(), done.stdout


@pytest.mark.parametrize("text", ["1:" + "59:" * 50_000 + "1", "0x" + "f" * 200_000])
def test_a_number_of_absurd_length_is_text(text: str) -> None:
    assert parse_text(f"a: {text}".encode(), suffix=".yaml") == {"a": text}
