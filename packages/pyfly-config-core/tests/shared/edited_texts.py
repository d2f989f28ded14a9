"""YAML texts as people write them, and changes of their trees, for tests of edits."""

import copy
import random
from dataclasses import dataclass
from typing import Any

Path = tuple[Any, ...]
Line = tuple[str, Path]
"""A line, and the path of the entry that it belongs to."""

SCALARS = (
    *("1", "8080", "true", "no", "~", "text", "0x1F", "1.5", "2001-12-14", "''", "'it''s'"),
    *("'single'", "${a}", "http://x/y?z=1"),
)
KEYS = (
    "alpha",
    "beta",
    "a.b",
    "server.port",
    "spring.jpa.url",
    "spring.jpa.ddl",
    "k1",
    "k2",
    "on-x",
)
TAILS = ("", "", "", "", " # t", "   # t: x", "  ", "\t# tab")
VALUES: tuple[Any, ...] = (
    *(0, 5, True, None, "new", "", "two\nlines\n", "a: b", "{x}", "on", "x # y", 1.5, [], {}),
    *([1, "b"], {"k9": 1}, {"n": {"m": [1, {"o": "p"}]}}, "é€", "trail ", "tab\there", "\n", "# c"),
    *([[1, 2], {"z": []}], "---", "a\n\nb", " lead\nx"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one entry."""

    kind: str
    path: Path


class TextMaker:
    """Makes block mappings with comments, flow collections, blocks of text and odd indents."""

    def __init__(self, chance: random.Random, *, anchors: bool) -> None:
        self._chance = chance
        self._anchors: list[str] | None = [] if anchors else None

    def lines(self) -> list[Line]:
        """Return the lines of a document."""
        return [*self._comment(0, ()), *self._mapping(0, 3, ())]

    def _pick(self, *choices: Any) -> Any:
        return self._chance.choice(choices)

    def _comment(self, indent: int, path: Path) -> list[Line]:
        drawn = self._chance.random()
        if drawn < 0.15:
            return [(" " * indent + f"# c{self._chance.randrange(999)}: x", path)]
        return [("", path)] if drawn < 0.2 else []

    def _flow(self, depth: int) -> str:
        drawn = self._chance.random()
        if depth <= 0 or drawn < 0.5:
            return self._pick("1", "true", "text", "'q, q'", '"d"')
        space = self._pick("", " ")
        if drawn < 0.75:
            keys = self._chance.sample(("a", "b", "'c d'", "e.f"), self._chance.randint(0, 3))
            items = [f"{key}: {self._flow(depth - 1)}" for key in keys]
            return "{" + space + ", ".join(items) + space + "}"
        items = [self._flow(depth - 1) for _ in range(self._chance.randint(0, 3))]
        comma = "," if items and self._chance.random() < 0.2 else ""
        return "[" + space + self._pick(",", ", ").join(items) + comma + space + "]"

    def _value(self, indent: int, depth: int, path: Path, *, is_item: bool) -> list[Line]:
        """Return what stands behind a `:` or `-`, and the lines below."""
        anchor = ""
        if self._anchors is not None and self._chance.random() < 0.1:
            anchor = f" &a{len(self._anchors)}"
        drawn = self._chance.random()
        if self._anchors and not anchor and drawn < 0.1:
            lines = [(f" *{self._pick(*self._anchors)}{self._pick(*TAILS)}", path)]
        elif drawn < 0.5 or depth <= 0:
            lines = [(f"{anchor} {self._pick(*SCALARS)}{self._pick(*TAILS)}", path)]
        elif drawn < 0.58:
            at = " " * (indent + self._pick(1, 2, 4))
            words = ("line one", "# no comment", "x: y", "  more")
            head = f"{anchor} {self._pick('|', '>')}{self._pick('', '-')}{self._pick('', ' # h')}"
            below = [at + self._pick(*words) for _ in range(self._chance.randint(0, 3))]
            lines = [(head, path), (f"{at}first", path), *((one, path) for one in below)]
        elif drawn < 0.66:
            lines = [(f"{anchor} {self._flow(2)}{self._pick(*TAILS)}", path)]
        elif drawn < 0.88:
            at = indent + self._pick(1, 2, 2, 2, 4)
            lines = [(anchor + self._pick("", " # m"), path), *self._comment(at, path)]
            lines += self._mapping(at, depth - 1, path)
        else:
            at = indent + (2 if is_item else self._pick(0, 2, 2))
            lines = [(anchor + self._pick("", " # q"), path), *self._comment(at, path)]
            lines += self._sequence(at, depth - 1, path)
        if anchor and self._anchors is not None:
            self._anchors.append(anchor.removeprefix(" &"))
        return lines

    def _mapping(self, indent: int, depth: int, path: Path) -> list[Line]:
        lines: list[Line] = []
        for number, key in enumerate(self._chance.sample(KEYS, self._chance.randint(1, 4))):
            if number:
                lines += self._comment(indent, path)
            (head, _), *below = self._value(indent, depth, (*path, key), is_item=False)
            lines += [(f"{' ' * indent}{key}{self._pick(':', ':', ' :')}{head}", (*path, key))]
            lines += below
        return lines

    def _sequence(self, indent: int, depth: int, path: Path) -> list[Line]:
        lines: list[Line] = []
        for index in range(self._chance.randint(1, 4)):
            if index:
                lines += self._comment(indent, path)
            below = (*path, index)
            if depth > 0 and self._chance.random() < 0.4:
                inner = self._pick(self._mapping, self._sequence)(indent + 2, depth - 1, below)
                (first, where), *rest = inner
                lines += [(f"{' ' * indent}- {first.lstrip(' ')}", where), *rest]
            else:
                (head, _), *rest = self._value(indent, depth - 1, below, is_item=True)
                lines += [(f"{' ' * indent}-{head}", below), *rest]
        return lines


def changed(chance: random.Random, tree: Any) -> tuple[Any, Change]:
    """Return a tree with one random change."""
    tree = copy.deepcopy(tree)
    node, path = tree, ()
    while True:
        steps = list(node) if isinstance(node, dict) else list(range(len(node)))
        step = chance.choice(steps)
        if not (isinstance(node[step], dict | list) and node[step] and chance.random() < 0.7):
            break
        node, path = node[step], (*path, step)
    kind = chance.choice(("set", "set", "remove", "add"))
    if kind == "set":
        node[step] = copy.deepcopy(chance.choice(VALUES))
    elif kind == "remove":
        del node[step]
    elif isinstance(node, dict):
        step = chance.choice(("new", "a.c", "spring.jpa.pool", "x y", "null"))
        node[step] = copy.deepcopy(chance.choice(VALUES))
    else:
        step = chance.randint(0, len(node))
        node.insert(step, copy.deepcopy(chance.choice(VALUES)))
    return tree, Change(kind=kind, path=(*path, step))


def kept_lines(lines: list[Line], change: Change) -> list[str]:
    """Return the lines that a change must leave as they are, in their order."""
    above = change.path[:-1]
    holder = max(
        (where for _, where in lines if where == change.path[: len(where)]), key=len, default=()
    )
    # A flow collection stands on the line of its holder. The first entry behind a `-` shares its
    # line, and the only entry of a collection takes the collection with it.
    siblings = {where[len(above)] for _, where in lines if where[: len(above)] == above != where}
    is_shared = any(
        text.lstrip(" ").startswith("- ")
        and len(where) > len(above)
        and where[: len(above)] == above
        for text, where in lines
    ) and (change.kind != "add" or isinstance(change.path[-1], int))
    widest = above if change.kind == "remove" and (is_shared or len(siblings) < 2) else change.path
    if isinstance(change.path[-1], int) and change.kind != "set":
        widest = above  # equal items of a list may stand for one another
    return [
        text
        for text, where in lines
        if where[: len(widest)] != widest and not (where == holder and holder)
    ]
