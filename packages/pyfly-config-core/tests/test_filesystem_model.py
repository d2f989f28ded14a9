"""Any sequence of operations on files tells the same story as in memory.

The versions of the two stores differ in kind. Memory numbers every change, so that equal content
saved again has another version. For files a version is the digest of the bytes, so that equal
bytes have the version they had before, and who names it says "while these bytes are stored".
Several numbers may therefore stand for one digest, and a digest is translated to the *latest*
number that it ever stood for: it is the current number exactly when the digest is the current
one. With that translation both stores must accept or refuse the same writes.
"""

import asyncio
import hashlib
import json
import math
import os
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pyfly.config_core import (
    ConfigConflictError,
    ConfigFormatError,
    ConfigKey,
    InvalidConfigKeyError,
)
from pyfly.config_server import ConfigSource, FilesystemConfigBackend, InMemoryConfigBackend
from pyfly.config_server.files.emptied import EMPTIED_NAME
from pyfly.config_server.storage import ABSENT, ANY, Expected, Precondition

SUFFIXES = (".yaml", ".yml", ".json")
LONGEST_TEXT = 262_144
LONGEST_KEY = 4_096

KEYS = [
    ConfigKey(application=application, profile=profile, label=label)
    for application, profile, label in (
        ("orders", "prod", "main"),
        ("orders-api", "prod", "main"),
        ("orders", "prod", "feature"),
        ("orders", "prod", "feature/x"),
        ("orders", "prod", "feature/x/y"),
        ("orders.v2_b", "eu.west", "release-1.0"),
        ("_a-b.c_d-e", "default", "release-1.0"),
        ("a" * 128, "p" * 64, "l" * 128),
    )
]
LABELS = [*dict.fromkeys(key.label for key in KEYS), "nowhere"]

PROPERTY_KEYS = (
    *("", "..", "a/b", "/", "[0]", "a[0]", "a.b", ".", "true", "on", "~", "null", "012", "1e3"),
    *("2001-12-14", "12:30", "<<", "=", "---", "...", "# x", "a # x", "- a", "? a", "a: b", "%A"),
    *("two\nlines", "\n", "\t", " ", "\0", "\x85", "\u2028", "\ufeff", "{cipher}ab", "'", '"'),
    *("Grüße", "שלום", "日本語", "😀", "k" * 200),
)
TEXTS = (
    *("", "1e3", "010", "0x1F", "1_000", "12:30", "+1", ".5", ".inf", ".nan", "NaN", "Infinity"),
    *("yes", "off", "True", "null", "~", "2001-12-14", "2001-12-14T21:59:43Z", "=", "<<", "!t"),
    *("&a", "*a", "|", ">", "%", "@", "`", "[1]", "{}", "a: b", "a #b", "---", "...", "\\n"),
    *("a\n---\nb: 1\n", "\n", "ends\n\n", "  less\nmore", "a\r\nb\r", "\x1b[0m", "\0", "\x7f"),
    *("a\x85b", "a\u2028b", "\ufeffb", "\ufffe", "{cipher}ab", "${a:b}", "Привет", "😀"),
    *("w" * 200, "w " * 100),
)
NUMBERS = (0, -1, 2**63, -(10**40), 10**300, 1.0, -0.0, 1e16, 1e300, 5e-324, 0.1, math.pi)

HUGE: dict[str, dict[str, Any]] = {  # drawn by name, or a report would show them whole
    "longest text": {"a": "é" * LONGEST_TEXT},
    "text too long": {"a": ["é" * (LONGEST_TEXT + 1)]},
    "longest key": {"a": {"k" * LONGEST_KEY: 1}},
    "key too long": {"a": [{"k" * (LONGEST_KEY + 1): 1}]},
    "deep": {"a": reduce(lambda inner, _: [{"": inner}], range(30), {})},
}

scalars = (
    st.sampled_from((None, True, False, *NUMBERS, *TEXTS))
    | st.sampled_from((math.inf, -math.inf, math.nan))
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
)
property_keys = st.sampled_from(PROPERTY_KEYS) | st.text(max_size=8)
trees: Any = st.recursive(
    scalars | st.sampled_from(([], {}, [[]], [{}])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(property_keys, inner, max_size=3),
    max_leaves=6,
)
properties: Any = st.dictionaries(property_keys, trees, max_size=4)

YAML_BY_HAND: tuple[tuple[bytes, dict[str, Any]], ...] = (
    (b"", {}),
    (b"# nothing yet\n", {}),
    (b"--- {}\n...\n", {}),
    (b"a: 1 # one\r\nb: [~, 'x', 012]\r\n", {"a": 1, "b": [None, "x", 10]}),
    (b"\xef\xbb\xbfon: off\n1: 2.50\n", {"[true]": False, "[1]": 2.5}),
    (
        b"a: &a {x: 1}\nb: {<<: *a, y: 2024-01-01}\n",
        {"a": {"x": 1}, "b": {"x": 1, "y": "2024-01-01"}},
    ),
    (b"- one\n- {two: .inf}\n", {"document": ["one", {"two": math.inf}]}),
    (b'"": "\\x00"\n"a/b": {"..": "{cipher}ab"}\n', {"": "\0", "a/b": {"..": "{cipher}ab"}}),
    (b"text: |\n  ---\n  # none\n", {"text": "---\n# none\n"}),
)


def json_by_hand(tree: Any) -> tuple[str, bytes, Any]:
    return ".json", json.dumps(tree, indent=1).encode("utf-8-sig"), tree


finite_properties = properties.filter(lambda tree: not refused(tree, ".json"))
by_hand = st.tuples(st.sampled_from((".yaml", ".yml")), st.sampled_from(YAML_BY_HAND)).map(
    lambda pair: (pair[0], *pair[1])
) | finite_properties.map(json_by_hand)

keys = st.sampled_from(KEYS)
expectations = st.tuples(
    st.sampled_from(("current", "seen", "never", ABSENT, ANY)), st.integers(0, 20)
)


def text_of(tree: Any) -> str:
    """Tell apart whatever differs in value or type; NaN is NaN.

    Not in order: a save keeps the order of the keys that are in the file.
    """
    return json.dumps(tree, sort_keys=True)


def parts(tree: Any) -> Iterator[Any]:
    yield tree
    for item in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from parts(item)


def refused(tree: Any, suffix: str) -> bool:
    """True if a file cannot hold the tree: JSON has finite numbers only, YAML shorter texts."""
    if suffix == ".json":
        return any(isinstance(part, float) and not math.isfinite(part) for part in parts(tree))
    return any(
        (isinstance(part, str) and len(part) > LONGEST_TEXT)
        or (isinstance(part, dict) and any(len(key) > LONGEST_KEY for key in part))
        for part in parts(tree)
    )


class FilesystemAndMemory(RuleBasedStateMachine):
    """Does everything twice, and knows which files must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.stored = FilesystemConfigBackend(self.root)
        self.model = InMemoryConfigBackend()
        self.files: dict[ConfigKey, dict[str, Any]] = {key: {} for key in KEYS}
        self.numbers: dict[ConfigKey, dict[str, str]] = {key: {} for key in KEYS}

    def teardown(self) -> None:
        self.loop.run(self.stored.aclose())
        self.loop.close()
        self.directory.cleanup()

    # --- what is known ----------------------------------------------------------------

    def path(self, key: ConfigKey, suffix: str) -> Path:
        return self.root / key.label / f"{key.application}-{key.profile}{suffix}"

    def suffix(self, key: ConfigKey) -> str:
        """Return the suffix of the file that is read, or would be made."""
        return next((suffix for suffix in SUFFIXES if suffix in self.files[key]), ".yaml")

    def digest(self, key: ConfigKey) -> str | None:
        path = self.path(key, self.suffix(key))
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None

    def number(self, key: ConfigKey, digest: str | None) -> str | None:
        return None if digest is None else self.numbers[key][digest]

    def expected(self, key: ConfigKey, wish: tuple[Any, int]) -> tuple[Expected, Expected]:
        """Return the same expectation as files and as memory express it."""
        kind, number = wish
        if isinstance(kind, Precondition):
            return kind, kind
        current = self.digest(key)
        if kind == "current":
            return (ABSENT, ABSENT) if current is None else (current, self.numbers[key][current])
        seen = [*self.numbers[key].items()]
        return seen[number % len(seen)] if kind == "seen" and seen else ("0" * 64, "0")

    def told(self, key: ConfigKey, source: ConfigSource | None) -> Any:
        """Return what files and memory must tell alike, in memory's words."""
        if source is None:
            return None
        assert source.resource == self.path(key, self.suffix(key)).name
        assert source.version is not None
        return key, self.number(key, source.version), text_of(source.properties)

    # --- what both do -----------------------------------------------------------------

    def changed(self, key: ConfigKey, files: dict[str, Any]) -> None:
        """Note the files of a bundle, and the digest that memory's newest number stands for."""
        self.files[key] = files
        digest = self.digest(key)
        found = self.loop.run(self.model.fetch(key.application, key.profile, key.label))
        assert (digest is None) == (found is None)
        if digest is not None and found is not None:
            assert found.version is not None
            self.numbers[key][digest] = found.version

    def write(self, key: ConfigKey, on_files: Any, in_memory: Any, files: dict[str, Any]) -> None:
        """Do both; the same conflict, or none, must come of it."""
        try:
            digest = self.loop.run(on_files)
        except ConfigConflictError as conflict:
            with pytest.raises(ConfigConflictError) as other:
                self.loop.run(in_memory)
            assert self.number(key, conflict.current) == other.value.current
            return
        self.loop.run(in_memory)
        self.changed(key, files)
        assert digest in {None, self.digest(key)}

    def store(self, source: ConfigSource, wish: tuple[Any, int] | None) -> None:
        key, suffix = source.key, self.suffix(source.key)
        ours, theirs = (ANY, ANY) if wish is None else self.expected(key, wish)
        if refused(source.properties, suffix):
            with pytest.raises((ConfigFormatError, ConfigConflictError)) as error:
                self.loop.run(self.stored.commit(source, expected=ours))
            assert ours is not ANY or error.type is ConfigFormatError
            return
        on_files = (
            self.stored.save(source) if wish is None else self.stored.commit(source, expected=ours)
        )
        in_memory = self.model.commit(source, expected=theirs)
        is_new = self.digest(key) is None
        self.write(key, on_files, in_memory, {suffix: source.properties})
        if is_new and self.digest(key) is not None:
            found = self.loop.run(self.stored.fetch(key.application, key.profile, key.label))
            assert found is not None
            assert json.dumps(found.properties) == json.dumps(source.properties)  # in order

    @rule(key=keys, tree=properties)
    def save(self, key: ConfigKey, tree: Any) -> None:
        self.store(source_of(key, tree), None)

    @rule(key=keys, tree=properties, wish=expectations)
    def commit(self, key: ConfigKey, tree: Any, wish: tuple[Any, int]) -> None:
        self.store(source_of(key, tree), wish)

    @rule(key=keys, name=st.sampled_from([*HUGE]))
    def save_something_huge(self, key: ConfigKey, name: str) -> None:
        self.store(source_of(key, HUGE[name]), None)

    @rule(key=keys, back=st.integers(0, 20), wish=expectations)
    def rollback(self, key: ConfigKey, back: int, wish: tuple[Any, int]) -> None:
        """Commit old content, as memory's history knows it."""
        rows = [row for row in self.loop.run(self.model.history(key)) if not row.deleted]
        if rows:
            version = rows[back % len(rows)].version
            old = self.loop.run(self.model.fetch_version(key, version))
            assert old is not None
            self.store(old, wish)

    @rule(key=keys, wish=expectations)
    def delete(self, key: ConfigKey, wish: tuple[Any, int]) -> None:
        ours, theirs = self.expected(key, wish)
        on_files = self.stored.delete(key, expected=ours)
        self.write(key, on_files, self.model.delete(key, expected=theirs), {})

    @rule(key=keys, hand=by_hand, alone=st.booleans())
    def edit_by_hand(self, key: ConfigKey, hand: tuple[str, bytes, Any], alone: bool) -> None:
        """Put a file in place, alone or beside those of the other formats."""
        suffix, data, tree = hand
        kept: dict[str, Any] = {} if alone else self.files[key]
        for other in self.files[key].keys() - kept.keys():
            self.path(key, other).unlink()
        path = self.path(key, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written = path.stat().st_mtime - 2
        os.utime(path, (written, written))  # complete for long enough to be read at once
        self.remember(key, kept | {suffix: tree})

    @rule(key=keys)
    def remove_by_hand(self, key: ConfigKey) -> None:
        """Remove the file that is read; the next one comes to light."""
        if self.files[key]:
            suffix = self.suffix(key)
            self.path(key, suffix).unlink()
            self.remember(key, {s: tree for s, tree in self.files[key].items() if s != suffix})

    def remember(self, key: ConfigKey, files: dict[str, Any]) -> None:
        """Do in memory what was done by hand."""
        self.files[key] = files
        if files:
            self.loop.run(self.model.save(source_of(key, files[self.suffix(key)])))
        else:
            self.loop.run(self.model.delete(key, expected=ANY))
        self.changed(key, files)

    @rule()
    def restart(self) -> None:
        self.loop.run(self.stored.aclose())
        self.stored = FilesystemConfigBackend(self.root)

    # --- what both tell ---------------------------------------------------------------

    @rule(asked=st.lists(keys, max_size=6))
    def fetch_many(self, asked: list[ConfigKey]) -> None:
        found = self.loop.run(self.stored.fetch_many(asked))
        wanted = self.loop.run(self.model.fetch_many(asked))
        assert [self.told(*pair) for pair in zip(asked, found, strict=True)] == [
            source and (source.key, source.version, text_of(source.properties)) for source in wanted
        ]

    @rule(key=keys)
    def fetch(self, key: ConfigKey) -> None:
        found = self.loop.run(self.stored.fetch(key.application, key.profile, key.label))
        wanted = self.loop.run(self.model.fetch(key.application, key.profile, key.label))
        assert self.told(key, found) == (
            wanted and (key, wanted.version, text_of(wanted.properties))
        )

    @rule(key=st.sampled_from([key for key in KEYS if "-" in key.application]))
    def a_profile_with_a_dash_reads_the_same_file_and_is_never_written(
        self, key: ConfigKey
    ) -> None:
        """What a file name cannot tell apart, and memory can."""
        application, _, rest = key.application.partition("-")
        twin = ConfigKey(application=application, profile=f"{rest}-{key.profile}", label=key.label)
        found = self.loop.run(self.stored.fetch(application, twin.profile, key.label))
        real = self.loop.run(self.stored.fetch(key.application, key.profile, key.label))
        assert (found and text_of(found.properties)) == (real and text_of(real.properties))
        with pytest.raises(InvalidConfigKeyError):
            self.loop.run(self.stored.save(source_of(twin, {"a": 1})))

    @rule(label=st.none() | st.sampled_from(LABELS), after=st.none() | keys)
    def list_keys(self, label: str | None, after: ConfigKey | None) -> None:
        async def entries(backend: Any) -> list[Any]:
            return [entry async for entry in backend.keys(label, after=after)]

        found = self.loop.run(entries(self.stored))
        assert [(e.key, self.number(e.key, e.version), e.error) for e in found] == [
            (e.key, e.version, None) for e in self.loop.run(entries(self.model))
        ]

    @rule()
    def list_labels(self) -> None:
        assert self.loop.run(self.stored.labels()) == self.loop.run(self.model.labels())

    @invariant()
    def lists_are_equal_and_no_other_file_is_there(self) -> None:
        found = self.loop.run(self.stored.list())
        assert [self.told(source.key, source) for source in found] == [
            (source.key, source.version, text_of(source.properties))
            for source in self.loop.run(self.model.list())
        ]
        there = {path for path in self.root.rglob("*") if not path.is_dir()}
        assert there - {self.root / EMPTIED_NAME} == {
            self.path(key, suffix) for key, files in self.files.items() for suffix in files
        }


def source_of(key: ConfigKey, tree: Any) -> ConfigSource:
    return ConfigSource(
        application=key.application, profile=key.profile, label=key.label, properties=tree
    )


@pytest.mark.slow
@pytest.mark.untraced
def test_any_sequence_of_operations_on_files_equals_the_model_in_memory() -> None:
    run_state_machine_as_test(
        FilesystemAndMemory,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
