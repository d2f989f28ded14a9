"""Edits of YAML and JSON texts: what they change, byte by byte, and what they leave alone."""

from typing import Any

import pytest
import yaml as library

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats import yaml
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.edits import (
    TextEdit,
    UneditableTextError,
    edit_documents,
    edit_text,
)
from pyfly.config_server.formats.text import parse_documents, parse_text

SERVER = """\
# all services
server: # public
  port: 8080   # behind the proxy
  hosts:
    - a  # first
    - b
    # about c
    - c
tags: [one, 'two', ]
"""
ANCHORS = "base: &b\n  x: 1 # one\n  y: 2\nuse: *b\nmore:\n  <<: *b\n  z: 3\n"


def edited(text: str, tree: Any, suffix: str = ".yaml") -> tuple[str, EditLevel]:
    edit = edit_text(text.encode(), tree, suffix=suffix)
    return edit.data.decode(), edit.level


def changed(tree: Any, path: tuple[Any, ...], value: Any = None, *, remove: bool = False) -> Any:
    holder = tree
    for step in path[:-1]:
        holder = holder[step]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return tree


@pytest.mark.parametrize(
    ("text", "path", "value", "old", "new"),
    [
        # scalars keep their quotes where they can
        (SERVER, ("server", "port"), 9090, "8080   #", "9090   #"),
        (SERVER, ("server", "hosts", 0), "z", "- a  #", "- z  #"),
        (SERVER, ("tags", 1), "it's", "'two'", "'it''s'"),
        (SERVER, ("tags", 0), "a,b", "[one", "['a,b'"),
        ('a: "x" # c\n', ("a",), "y\n", '"x"', '"y\\n"'),
        ("a:\nb: 1\n", ("a",), "on", "a:\n", "a: 'on'\n"),
        ("a: # c\nb: 1\n", ("a",), 2, "a: #", "a: 2 #"),
        ("a: {b: , c: 1}\n", ("a", "b"), 2, "b: ,", "b: 2,"),
        ("a:\n  # c\n  x\n", ("a",), "y", "  x\n", "  y\n"),
        ("- a\n- b\n", ("document", 1), "c", "- b", "- c"),
        # texts of several lines
        ("a: |  # c\n    x\n    \n    y\n", ("a",), "x\n\nz\n", "    y", "    z"),
        ("a: |\n  x\n", ("a",), "x", "|\n", "|-\n"),
        ("a: |\n  x\n", ("a",), "x\n\n", "|\n  x\n", "|+\n  x\n\n"),
        ("a: |+\n  x\n\nb: 1\n", ("b",), 2, "b: 1", "b: 2"),
        ("a: >-\n  x\n  y\n", ("a",), "z", "  x\n  y\n", "  z\n"),
        ("a: |  # c\n  x\nb: 1\n", ("a",), 5, "|  # c\n  x\n", "5 # c\n"),
        ("a: x # c\n", ("a",), "x\ny\n", "x # c\n", "| # c\n  x\n  y\n"),
        # collections and single values
        (
            SERVER,
            ("server",),
            1,
            SERVER[SERVER.index(" # pub") : SERVER.index("tags")],
            " 1 # public\n",
        ),
        (
            SERVER,
            ("tags",),
            {"a": [1, {"b": []}]},
            " [one, 'two', ]",
            "\n  a:\n    - 1\n    - b: []",
        ),
        (
            SERVER,
            ("server", "hosts"),
            [],
            "\n    - a  # first\n    - b\n    # about c\n    - c",
            " []",
        ),
        ("a: {}\n", ("a",), {"b": 1}, " {}", "\n  b: 1"),
        ("a: 1 # c\n", ("a",), [1], " 1 # c\n", " # c\n  - 1\n"),
        ("- 1 # c\n", ("document", 0), {"a": 1, "b": 2}, "1 # c", "a: 1 # c\n  b: 2"),
        ("a: &x 1\nb: *x\n", ("a",), {"c": 1}, "&x 1\nb: *x", "&x\n  c: 1\nb: 1"),
        ("? a\n: 1\n? b\n: 2\n", ("b",), {"c": 3}, ": 2", ":\n  c: 3"),
        # new entries
        (SERVER, ("server", "ssl"), {"on": True}, "- c\n", "- c\n  ssl:\n    'on': true\n"),
        ("a.b: 1\na.c: 2\nz: 3\n", ("a.d.e",), 4, "a.c: 2\n", "a.c: 2\na.d.e: 4\n"),
        ("a: {b: 1,}\n", ("a", "c"), "x", "b: 1", "b: 1, c: x"),
        ("a: {\n  b: 1 # c\n}\n", ("a", "c"), 2, "b: 1", "b: 1,\n  c: 2"),
        ("a:\n    b: 1", ("a", "c"), 2, "1", "1\n    c: 2"),
        ("- a: 1\n", ("document", 0, "b"), 2, "1\n", "1\n  b: 2\n"),
        ("a: [b: 1]\n", ("a", 0, "c"), 2, "b: 1", "{b: 1, c: 2}"),
        ("# only a comment", ("a",), 1, "comment", "comment\na: 1"),
        ("---\n# c\n", ("a",), 1, "# c\n", "# c\na: 1\n"),
        ("", ("a",), 1, "", "a: 1\n"),
        ("a: |\n  x", ("b",), 1, "|\n  x", "|-\n  x\nb: 1"),
        ("a: 1\n...\n", ("b",), 1, "1\n", "1\nb: 1\n"),
        # anchors
        (ANCHORS, ("use",), 1, "use: *b", "use: 1"),
        (ANCHORS, ("more", "x"), 9, "z: 3\n", "z: 3\n  x: 9\n"),
        (ANCHORS, ("more", "x"), 1, "", ""),
    ],
)
def test_a_changed_value_changes_its_lines_only(
    text: str, path: tuple[Any, ...], value: Any, old: str, new: str
) -> None:
    for newline in ("\n", "\r\n", "\r"):
        for bom in ("", "\ufeff"):
            data = (bom + text.replace("\n", newline)).encode()
            tree = changed(parse_text(data, suffix=".yaml"), path, value)
            expected = bom + text.replace(old, new, 1).replace("\n", newline)
            if "\n" not in text:  # such a text says nothing about its line breaks
                expected = bom + text.replace(old, new, 1)
            assert edit_text(data, tree, suffix=".yaml") == TextEdit(
                data=expected.encode(), level=EditLevel.ENTRIES
            )


@pytest.mark.parametrize(
    ("text", "path", "gone", "new"),
    [
        (SERVER, ("server", "port"), "  port: 8080   # behind the proxy\n", ""),
        (SERVER, ("server", "hosts", 1), "    - b\n", ""),
        (SERVER, ("server", "hosts", 2), "    - c\n", ""),
        (SERVER, ("tags", 0), "one, ", ""),
        (SERVER, ("tags", 1), ", 'two'", ""),
        (SERVER, ("tags",), "tags: [one, 'two', ]\n", ""),
        ("a: 1\nb: 2", ("b",), "a: 1\nb: 2", "a: 1"),
        ("a: 1 # c\n", ("a",), "a: 1 # c\n", "{} # c\n"),
        ("x:\n  a: 1\n  # c\ny: 2\n", ("x", "a"), "\n  a: 1", " {}"),
        ("- a: 1\n  b: 2\n", ("document", 0, "a"), "a: 1\n  ", ""),
        ("- a: 1\n  # c\n  b: 2\n", ("document", 0, "a"), " a: 1", ""),
        ("- - a\n  - b\n", ("document", 0, 0), "- a\n  ", ""),
        ("? a\n: 1\n? b\n: 2\n", ("a",), "? a\n: 1\n", ""),
        ("a: {b: 1,}\n", ("a", "b"), "{b: 1,}", "{}"),
        ("a: [\n  1, # one\n  2\n]\n", ("a", 1), ", # one\n  2", ""),
    ],
)
def test_a_removed_entry_takes_its_lines_with_it(
    text: str, path: tuple[Any, ...], gone: str, new: str
) -> None:
    tree = changed(parse_text(text.encode(), suffix=".yaml"), path, remove=True)
    assert edited(text, tree) == (text.replace(gone, new, 1), EditLevel.ENTRIES)


def test_aliases_of_an_anchor_that_goes_are_written_out() -> None:
    text = "a: &x {n: 1}\nb: *x # c\nd:\n  <<: *x\n  m: 2\n"
    tree = changed(parse_text(text.encode(), suffix=".yaml"), ("a",), remove=True)
    expected = "b: # c\n  n: 1\nd:\n  m: 2\n  n: 1\n"
    assert edited(text, tree) == (expected, EditLevel.ALIASES)


def test_an_alias_follows_its_anchor_where_that_is_wanted() -> None:
    tree: Any = parse_text(ANCHORS.encode(), suffix=".yaml")
    assert edited(ANCHORS, {name: tree[name] | {"x": 7} for name in tree})[0] == ANCHORS.replace(
        "x: 1", "x: 7"
    )
    assert edited(ANCHORS, tree | {"base": {"x": 7, "y": 2}})[0] == (
        "base: &b\n  x: 7 # one\n  y: 2\nuse:\n  x: 1\n  y: 2\nmore:\n  <<: *b\n  z: 3\n  x: 1\n"
    )


def test_of_two_anchors_with_one_name_the_one_that_begins_last_counts() -> None:
    text = "a: &x\n  b: &x {n: 1}\n  c: *x\nd: &x 1\ne: *x\nf: &x [&x [&x 2], 3]\ng: *x\n"
    tree = parse_text(text.encode(), suffix=".yaml")
    expected = {"a": {"b": {"n": 1}, "c": {"n": 1}}, "d": 1, "e": 1, "f": [[2], 3], "g": 2}
    assert tree == expected  # as SnakeYAML reads it
    assert edited(text, tree | {"f": [[4], 3], "g": 4})[0] == text.replace("&x 2", "&x 4")
    assert edited(text, tree | {"f": [[2], 5]})[0] == text.replace(", 3", ", 5")


def test_the_same_value_in_another_spelling_and_another_order_are_no_changes() -> None:
    text = "a: 0x1F\nb: 010\nc: yes\nd: {y: ~, x: 1_000}\n"
    assert edited(text, {"d": {"x": 1000, "y": None}, "c": True, "b": 8, "a": 31})[0] == text
    assert edited(text, {"d": {"x": 1000.0, "y": None}, "c": True, "b": 8, "a": 31})[0] == (
        text.replace("1_000", "1000.0")
    )


def test_a_list_keeps_the_lines_of_the_items_that_stay() -> None:
    text = "a:\n- x # 1\n- y # 2\n- z # 3\n"
    assert edited(text, {"a": ["n", "x", "z", "w"]})[0] == "a:\n- n\n- x # 1\n- z # 3\n- w\n"
    assert edited("[a, b]\n", {"document": ["n", "a", "b"]})[0] == "[n, a, b]\n"


def test_where_a_value_cannot_be_edited_its_mapping_is_written_anew() -> None:
    text = "# top\na:\n  # c\n  b: |+\n    x\n  c: |\n    y\n\nz: 'q'\n"
    tree = changed(parse_text(text.encode(), suffix=".yaml"), ("a", "c"), remove=True)
    expected = "# top\na:\n  b: |\n    x\n\nz: 'q'\n"
    assert edited(text, tree) == (expected, EditLevel.MAPPING)


def test_a_text_that_does_not_parse_is_written_anew() -> None:
    assert edited("a: [ # c\n", {"a": 1}) == ("a: 1\n", EditLevel.WHOLE)


JSON = '{\n    "a": 1,\n    "b": {"c": [1,2]},\n    "d": "\\u00e9"\n}'


@pytest.mark.parametrize(
    ("text", "path", "value", "old", "new"),
    [
        (JSON, ("b", "c"), [1, 2, 3], "[1,2]", "[1,2,3]"),
        (JSON, ("b", "c"), [2], "[1,2]", "[2]"),
        (JSON, ("d",), "ü", "\\u00e9", "\\u00fc"),
        (JSON, ("e",), {"x": []}, 'e9"\n', 'e9",\n    "e": {\n        "x": []\n    }\n'),
        ('{"a":1,"b":2}', ("c",), [{"d": None}], "}", ',"c":[{"d":null}]}'),
        ("{}\r\n", ("a",), 1, "{}", '{"a": 1}'),
        ("", ("a",), 1, "", '{"a": 1}\n'),
    ],
)
def test_json_is_edited_between_its_brackets(
    text: str, path: tuple[Any, ...], value: Any, old: str, new: str
) -> None:
    tree = changed(parse_text(text.encode(), suffix=".json"), path, value)
    assert edited(text, tree, ".json")[0] == text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        (b"a = 1\nb=2", {"b": "3"}, b"a = 1\nb=3"),
        (b"a = 1\r\nb=2\r\n", {"c": True}, b"a = 1\r\nb=2\r\nc=true\r\n"),
        (b"a = 1\rb=2", {"c": 1.5}, b"a = 1\rb=2\rc=1.5"),
        (b"a: x\n", {"a": "\u00fc\u20ac"}, b"a: \\u00FC\\u20AC\n"),  # ASCII stays ASCII
        ("# \u00e9\na: x\n".encode(), {"a": "\u20ac"}, "# \u00e9\na: \u20ac\n".encode()),
        (b"# \xe9\na: x\n", {"a": "\u00fc\u20ac"}, b"# \xe9\na: \xfc\\u20AC\n"),  # Latin-1
        (b"\xef\xbb\xbfa=1\n", {"a": "2"}, b"\xef\xbb\xbfa=2\n"),
        (b"\xef\xbb\xbfa=\xe9\n", {"b": "2"}, b"\xef\xbb\xbfa=\xe9\nb=2\n"),  # not UTF-8
        (b"a=1\nb=x\na=2\n", {"a": "3"}, b"a=1\nb=x\na=3\n"),  # the last one counts
        (b"a=1\nb=x\na=2\n", {"a": None}, b"b=x\n"),
        (b"a 1\nb\n", {"a": ":x", "b": "y"}, b"a =:x\nb=y\n"),
        (b"a=1 \\\n   2\nb=3\n", {"a": " z"}, b"a=\\ z\nb=3\n"),
        (b"# c\n", {"a b": "\t"}, b"# c\na\\ b=\\t\n"),
        (b"a.b=1\nz=2\n", {"a.c": "3"}, b"a.b=1\na.c=3\nz=2\n"),
    ],
)
def test_properties_keep_their_encoding_and_their_lines(
    before: bytes, changes: dict[str, Any], after: bytes
) -> None:
    documents = parse_documents(before, suffix=".properties")
    tree = dict(documents[0].properties) if documents else {}
    wanted = {key: value for key, value in (tree | changes).items() if value is not None}
    edit = edit_text(before, wanted, suffix=".properties")
    assert edit == TextEdit(data=after, level=EditLevel.ENTRIES)


def test_documents_are_edited_one_by_one() -> None:
    text = "a: 1 # x\n---\n# none\n---\nb: 2\n--- {c: 3}\n"
    trees = [dict(one.properties) for one in parse_documents(text.encode(), suffix=".yaml")]
    edit = edit_documents(text.encode(), [trees[0], {"b": 5}, {"c": 3, "d": 4}], suffix=".yaml")
    assert edit.data.decode() == "a: 1 # x\n---\n# none\n---\nb: 5\n--- {c: 3, d: 4}\n"
    with pytest.raises(UneditableTextError):
        edit_text(text.encode(), {"a": 1}, suffix=".yaml")


def test_a_text_that_becomes_too_long_is_refused() -> None:
    text = b"a: 1\n" + b"# c\n" * 262_140
    with pytest.raises(ConfigFormatError, match="bytes of text, more than 1,048,576"):
        edit_text(text, {"a": 1, "b": "x" * 100}, suffix=".yaml")


def test_a_text_that_becomes_too_long_with_the_escapes_of_the_old_one_is_written_anew() -> None:
    wanted = {"a": "é" * 400_000}  # six bytes each as an escape, two in UTF-8
    edit = edit_text(b'{"a": "\\u00e9"}', wanted, suffix=".json")
    assert parse_text(edit.data, suffix=".json") == wanted
    assert edit.level is EditLevel.WHOLE


@pytest.mark.parametrize(("text", "suffix"), [("[]", ".json"), ("# empty\n", ".yaml")])
def test_what_an_empty_text_cannot_hold_is_refused_or_written_anew(text: str, suffix: str) -> None:
    if suffix == ".json":
        with pytest.raises(ConfigFormatError, match="cannot hold infinities"):
            edited(text, {"a": float("inf")}, suffix)
    else:
        assert edited(text, {"k" * 1_100: 1}, suffix)[1] is EditLevel.WHOLE


def test_the_parsers_for_python_and_c_give_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ANCHORS + "t: |+\n  x\n\n# c\nu: >-\n  y\n\n  z\n\nv: [a: 1, {b: , c: 'x'}]\n"
    tree = parse_text(text.encode(), suffix=".yaml")
    wanted = [
        tree | {"u": "new"},
        tree | {"t": 1},
        tree | {"use": {"x": 1}, "v": []},
        {key: value for key, value in tree.items() if key != "base"},
    ]
    results = [edited(text, one) for one in wanted]
    monkeypatch.setattr(yaml, "_Loader", library.SafeLoader)
    assert [edited(text, one) for one in wanted] == results
