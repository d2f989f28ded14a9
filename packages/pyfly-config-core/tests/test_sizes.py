"""What trees and texts may cost: sizes are counted before anything is made of them."""

import json
import os
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pyfly.config_core import (
    ConfigFormatError,
    FlatBudget,
    JsonValue,
    check_collisions,
    copy_properties,
    flatten,
    rebuild,
)
from pyfly.config_server import ConfigServer, ConfigSource, InMemoryConfigBackend
from pyfly.config_server.composition import check_storable
from pyfly.config_server.encryption.prefix import split_prefix
from pyfly.config_server.files.bundle_edits import edit_one_file
from pyfly.config_server.formats.edits import edit_text
from pyfly.config_server.formats.patches import parse_operations
from pyfly.config_server.formats.text import parse_documents, parse_mapping

pytestmark = pytest.mark.anyio
MEBIBYTE = 1024 * 1024


def seconds(work: Callable[[], Any]) -> float:
    """Return the seconds of CPU in Python that some work takes, refused or not: the least of five.

    What the system takes to give and take memory depends on what the process did before.
    """

    def once() -> float:
        before = os.times().user
        _attempt(work)
        return os.times().user - before

    return min(once() for _ in range(5))


def peak(work: Callable[[], Any]) -> int:
    """Return the most bytes that some work takes at once, refused or not."""
    tracemalloc.start()
    try:
        _attempt(work)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _attempt(work: Callable[[], Any]) -> None:
    try:
        work()
    except ConfigFormatError:
        return


def deep(leaf: Any, *, levels: int = 60, length: int = 4_000) -> dict[str, Any]:
    """Return a leaf below keys that are long together."""
    for level in range(levels):
        leaf = {f"k{level}".ljust(length, "k"): leaf}
    return leaf


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_what_would_be_large_with_flat_keys_is_refused_before_it_is_made(suffix: str) -> None:
    wide = deep({f"a{number}": number for number in range(15_000)}, length=1_000)
    data = json.dumps(wide).encode()

    def put() -> None:
        tree = parse_mapping(data, suffix=suffix)
        check_storable(ConfigSource(application="a", profile="p", properties=tree))

    with pytest.raises(ConfigFormatError, match=r"more than 4,194,304 bytes of flat keys"):
        put()
    assert peak(put) < 3 * 30_000_000
    assert suffix == ".yaml" or seconds(put) < 3 * 0.05


def test_a_stored_file_of_many_documents_is_bounded_as_a_whole() -> None:
    document = json.dumps(deep({f"a{number}": number for number in range(300)}, length=40))
    data = "\n---\n".join([document] * 20).encode()

    def read() -> None:
        parse_documents(data, suffix=".yaml")

    with pytest.raises(ConfigFormatError, match="bytes of flat keys"):
        read()
    assert peak(read) < 3 * 30_000_000


@pytest.mark.measured
def test_paths_of_empty_mappings_are_not_made() -> None:
    tree = deep({f"a{number}": {} for number in range(15_000)})
    for work in (flatten, check_collisions, copy_properties):
        assert seconds(lambda: work(tree)) < 3 * 0.05  # noqa: B023 - called at once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        pytest.param('{"a":"' + "x" * 1_000_000 + '"}', ".json", id="a long text"),
        pytest.param('{"a":"' + r"\n" * 500_000 + '"}', ".json", id="a text of escapes"),
        pytest.param("a: 1\n" + "#\n" * 500_000, ".yaml", id="comments"),
        pytest.param("a: 1\n" + "\r\n" * 500_000, ".yaml", id="empty lines"),
    ],
)
def test_an_edit_takes_memory_for_the_text_not_for_each_of_its_characters(
    text: str, suffix: str
) -> None:
    data = text.encode()
    tree = parse_mapping(data, suffix=suffix)
    assert peak(lambda: edit_text(data, {**tree, "b": 1}, suffix=suffix)) < 30_000_000


@pytest.mark.parametrize("pointer", ["/" * 1_000_000, "/a" * 500_000, "/" + "a" * 1_000_000])
def test_a_long_pointer_of_a_patch_takes_memory_for_its_tokens_only(pointer: str) -> None:
    patch: list[JsonValue] = [{"op": "remove", "path": pointer}]
    assert peak(lambda: parse_operations(patch)) < 30_000_000


@pytest.mark.slow
def test_a_long_prefix_of_a_cipher_text_takes_no_more_memory_than_the_text() -> None:
    text = "{a:}" * 250_000
    assert peak(lambda: split_prefix(text)) < 10_000_000


def test_the_trees_of_one_budget_are_bounded_together() -> None:
    for tree in ({"a": "x" * 3_000_000}, {str(number): 1 for number in range(15_000)}):
        budget = FlatBudget(" in one answer")
        flatten(tree, budget)
        with pytest.raises(ConfigFormatError, match=r"more than .* in one answer"):
            flatten(tree, budget)


def test_values_count_in_bytes_of_utf_8() -> None:
    flatten({"a": "x" * 4_000_000})
    with pytest.raises(ConfigFormatError, match="4,194,304"):
        flatten({"a": "ü" * 4_000_000})


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_that_no_text_holds_is_refused(sign: int) -> None:
    with pytest.raises(ConfigFormatError, match=r"'a\[0\]' is a number with too many digits"):
        copy_properties({"a": [sign * 10**5_000]})
    assert copy_properties({"a": 10**4_000}) == {"a": 10**4_000}


def test_more_than_50_000_nodes_are_refused() -> None:
    with pytest.raises(ConfigFormatError, match="50,000 mappings, lists and values"):
        copy_properties({"a": [[]] * 50_001})
    with pytest.raises(ConfigFormatError, match="50,000 mappings, lists and values"):
        rebuild({f"x{number}.{'.'.join('abcdefgh')}": 1 for number in range(6_000)})


@pytest.mark.parametrize("where", ["a", "a.b", "x" * 5_000])
def test_a_path_in_a_message_is_short(where: str) -> None:
    for check in (flatten, check_collisions, copy_properties):
        with pytest.raises(ConfigFormatError) as caught:
            check({where: deep(1, levels=64)})
        assert str(caught.value).startswith(repr(f"{where}.k63"[:80]).rstrip("'"))
        assert len(str(caught.value)) < 200


async def test_the_bundles_of_an_answer_are_bounded_together() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    profiles = [f"p{number}" for number in range(6)]
    for profile in profiles:
        await server.save("a", profile, {profile: "x" * 800_000})
    assert await server.fetch("a", "p0,p1,p2,p3,p4")
    with pytest.raises(ConfigFormatError, match="flat keys and values in one answer"):
        await server.fetch("a", ",".join(profiles))


@pytest.mark.measured
@pytest.mark.parametrize(
    "key",
    ["a" + "[1]" * 100_000 + "x", "a[" * 100_000, "ab." * 100_000, "a" + "[1]" * 100_000],
    ids=["indexes", "brackets", "dots", "many indexes"],
)
def test_a_key_of_any_length_is_split_in_linear_time(key: str) -> None:
    assert seconds(lambda: rebuild({key: 1})) < 3 * 0.1


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("a:\n" + " " * 100_000 + "b: {}\n", ".yaml"),
        ("a:\n" + " " * 100_000 + "- 1\nb:\n  c: 1\n", ".yaml"),
        ("a: |\n" + " " * 100_000 + "text\n", ".yaml"),
        ("a: {b: 1}\n" + "c:\n" + " " * 100_000 + "d: 1\n", ".yaml"),
        ('{\n "x": 1,\n' + " " * 100_000 + '"a": {}}', ".json"),
        ("{\n" + " " * 100_000 + '"a": {}}', ".json"),
    ],
)
def test_new_lines_are_not_indented_as_far_as_a_hostile_text(text: str, suffix: str) -> None:
    old: dict[str, Any] = parse_mapping(text.encode(), suffix=suffix)
    entries: dict[str, Any] = {f"k{number}": [number] for number in range(500)}
    for value in ({"b": {}, **entries}, [1, entries], "text\nmore\n" * 500):
        wanted: Any = old | {"a": value}
        edit = partial(edit_text, text.encode(), wanted, suffix=suffix)
        assert peak(edit) < 24 * MEBIBYTE


@pytest.mark.slow
@pytest.mark.measured
def test_lists_of_equal_items_are_compared_in_bounded_time() -> None:
    text = "".join(f"k{number}: [{', '.join('1' * 200)}]\n" for number in range(50))
    wanted: dict[str, Any] = {f"k{number}": [1, 2] * 100 for number in range(50)}
    assert seconds(lambda: edit_text(text.encode(), wanted, suffix=".yaml")) < 1.0  # 0.2


@pytest.mark.measured
def test_every_key_of_several_documents_is_changed_in_linear_time() -> None:
    text = "".join(f"a{number}: 1\n" for number in range(5_000)) + "---\nb: 1\n"
    documents = parse_documents(text.encode(), suffix=".yaml")
    wanted: dict[str, Any] = {f"a{number}": 2 for number in range(5_000)} | {"b": 1}
    assert seconds(lambda: edit_one_file({"x.yaml": documents}, wanted)) < 1.0  # 0.04
