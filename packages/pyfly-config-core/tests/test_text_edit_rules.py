"""Edits of generated texts: the tree is the wanted one, and all other lines stay.

`scripts/prove edits` does the same for long.
"""

import os
import random
import re
from collections import Counter

import pytest
import yaml as library
from edited_texts import TextMaker, changed, kept_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats import yaml
from pyfly.config_server.formats.editing.properties_editor import property_texts
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.edits import edit_text
from pyfly.config_server.formats.json import dump_json
from pyfly.config_server.formats.text import dump_text, parse_documents, parse_text, same_tree

EXAMPLES = int(os.environ.get("PYFLY_PROOF_EDITS", 3 * settings().max_examples // 2))
RANDOMS = st.integers(min_value=0, max_value=2**32).map(random.Random)
many = settings(max_examples=EXAMPLES)


def is_storable(tree: object) -> bool:
    try:
        dump_text(tree, suffix=".yaml")  # type: ignore[arg-type]
    except ConfigFormatError:
        return False
    return True


def is_read(data: bytes) -> bool:
    try:
        parse_text(data, suffix=".yaml")
    except ConfigFormatError:
        return False
    return True


@given(chance=RANDOMS)
@many
def test_lines_that_say_the_same_stay(chance: random.Random) -> None:
    lines = TextMaker(chance, anchors=False).lines()
    newline = chance.choice(("\n", "\n", "\r\n", "\r"))
    bom = chance.choice(("", "", "\ufeff"))
    text = newline.join(text for text, _ in lines)
    # a block at the end of a text says in its header whether a line break follows
    end = newline if {*text} & {*"|>"} else chance.choice(("", newline))
    data = (bom + text + end).encode()
    tree = parse_text(data, suffix=".yaml")
    assert edit_text(data, tree, suffix=".yaml").data == data
    for _ in range(4):
        wanted, change = changed(chance, tree)
        edit = edit_text(data, wanted, suffix=".yaml")
        assert same_tree(parse_text(edit.data, suffix=".yaml"), wanted)
        assert edit.data.decode().startswith(bom)
        if edit.level is EditLevel.ENTRIES:
            left = iter(re.split("\r\n|\n|\r", edit.data.decode("utf-8-sig")))
            for line in kept_lines(lines, change):
                assert line in left, (change, line, data, edit.data)


@given(chance=RANDOMS)
@many
def test_json_and_properties_get_the_wanted_tree(chance: random.Random) -> None:
    tree = parse_text(
        "\n".join(text for text, _ in TextMaker(chance, anchors=True).lines()).encode(),
        suffix=".yaml",
    )
    json_text = dump_json(tree).replace("\n" if chance.random() < 0.2 else "\r", "\r\n").encode()
    separator = chance.choice(("=", " = ", ": ", " "))
    texts = property_texts(tree) or {"k": ""}
    lines = [f"{key.replace(' ', '_')}{separator}v{index}" for index, key in enumerate(texts)]
    properties = "\n! c\n".join(lines).encode()
    for _ in range(4):
        wanted, _ = changed(chance, tree)
        edit = edit_text(json_text, wanted, suffix=".json")
        assert same_tree(parse_text(edit.data, suffix=".json"), wanted)
        assert edit.level is EditLevel.ENTRIES
        flat, _ = changed(
            chance, dict(parse_documents(properties, suffix=".properties")[0].properties)
        )
        edit = edit_text(properties, flat, suffix=".properties")
        found = parse_documents(edit.data, suffix=".properties")
        assert property_texts(flat) == (dict(found[0].properties) if found else {})
        assert edit.level is EditLevel.ENTRIES


def test_little_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one edit in 100 writes a mapping anew, and one in 1,000 the whole text."""
    levels: Counter[EditLevel] = Counter()
    chance = random.Random(20)
    while levels.total() < 4 * EXAMPLES:
        lines = TextMaker(chance, anchors=True).lines()
        data = "".join(f"{text}\n" for text, _ in lines).encode()
        tree = parse_text(data, suffix=".yaml")
        for _ in range(4):
            wanted, _ = changed(chance, tree)
            if is_storable(wanted):
                edit = edit_text(data, wanted, suffix=".yaml")
                levels[edit.level] += 1
                if levels.total() % 10 == 0:
                    with monkeypatch.context() as patched:
                        patched.setattr(yaml, "_Loader", library.SafeLoader)
                        if is_read(data):  # that parser refuses some tabs
                            assert edit_text(data, wanted, suffix=".yaml") == edit
    anew = levels[EditLevel.MAPPING] + levels[EditLevel.WHOLE]
    assert anew <= levels.total() / 100, levels
    assert levels[EditLevel.WHOLE] <= levels.total() / 1000, levels
