"""The largest bundles that may be stored, each the most expensive of its kind, and files."""

import json
from typing import Any, Final

MEGABYTE: Final = 1_048_576
_SHORT_OF_THE_LIMIT: Final = 1_040_000


def many() -> dict[str, Any]:
    """As many properties as a bundle may have."""
    return {f"section{n % 100}.key{n}": n for n in range(20_000)}


def wide() -> dict[str, Any]:
    """One list as long as a bundle may have properties."""
    return {"items": list(range(20_000))}


def long() -> dict[str, Any]:
    """A few values that fill a bundle to its limit."""
    return {f"key{n}": "ä" * 2_000 for n in range(_SHORT_OF_THE_LIMIT // 4_020)}


def deep() -> dict[str, Any]:
    """Flat keys that fill an answer almost to its limit, made of a tree as deep as allowed."""
    tree: dict[str, Any] = {f"leaf{n}": n for n in range(1_900)}
    for level in range(60):
        tree = {f"level-{level:02d}-{'x' * 22}": tree}
    return tree


def doubling() -> dict[str, Any]:
    """Values that name each other twice: what they stand for doubles with each."""
    tree: dict[str, Any] = {"x0": ""}
    tree |= {f"x{n}": f"${{x{n - 1}}}${{x{n - 1}}}" for n in range(1, 17)}
    return tree | {f"y{n}": "${x16}" for n in range(40)}


def placeholders() -> dict[str, Any]:
    """Nearly as many placeholders as an answer may have."""
    texts = {f"key{n}": "${a}${b:${c:d}}" * 32 for n in range(1_000)}
    return texts | {"a": "x", "c": "y"}


def swelling() -> dict[str, Any]:
    """Placeholders that insert more than an answer may hold."""
    return {"a": "x" * 100_000} | {f"key{n}": "${a}" for n in range(10_000)}


BUNDLES: Final = {
    "many": many,
    "wide": wide,
    "long": long,
    "deep": deep,
    "doubling": doubling,
    "placeholders": placeholders,
    "swelling": swelling,
}


def as_json(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode()


# --- texts that nobody writes through the server, as files, within the limit of a file ----------


def _filled(start: str, unit: str, end: str = "") -> bytes:
    count = (_SHORT_OF_THE_LIMIT - len(start) - len(end)) // len(unit.encode())
    return (start + unit * count + end).encode()


FILES: Final[dict[str, bytes]] = {
    "blank-default.yaml": b"\n" * MEGABYTE,
    "comments-default.yaml": _filled("a: 1\n", "# comment\n"),
    "marks-default.yaml": _filled("", "---\na: 1\n"),
    "flow-default.yaml": _filled("a: [", "[],", "1]\n"),
    "brackets-default.yaml": _filled("a: ", "["),
    "scalars-default.yaml": _filled("a:\n", "- 1\n"),
    "plain-default.yaml": _filled("a: ", "x: y "),
    "folded-default.yaml": _filled("a: >\n", "  x\n"),
    "quoted-default.yaml": _filled('a: "', "\\x41", '"\n'),
    "anchors-default.yaml": _filled("", "- &a 1\n"),
    "aliases-default.yaml": _filled("a: &a [1]\nb:\n", "- *a\n"),
    "laughs-default.yaml": (
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    ).encode(),
    "merges-default.yaml": _filled("a: &a {b: 1}\nc:\n", "  - {<<: *a}\n"),
    "tags-default.yaml": _filled("a:\n", "- !!binary eA==\n"),
    "digits-default.yaml": _filled("a: ", "1"),
    "sixties-default.yaml": _filled("a: ", "1:"),
    "spaces-default.yaml": _filled("a:", " "),
    "dashes-default.yaml": _filled("", "- " * 60 + "\n"),
    "continued-default.properties": _filled("a=", "x\\\n"),
    "backslashes-default.properties": _filled("a=", "\\"),
    "escapes-default.properties": _filled("a=", "\\u0041"),
    "keys-default.properties": _filled("", "\\ "),
    "separators-default.properties": _filled("", "a=1\n#---\n"),
    "indexes-default.properties": b"".join(b"a[%d]=1\n" % n for n in range(19_999)),
    "dots-default.properties": _filled("", "a."),
    "gaps-default.properties": b"".join(b"a%d[19999]=1\n" % n for n in range(2_000)),
    "nested-default.json": _filled("", "["),
    "digits-default.json": _filled('{"a":', "1", "}"),
    "twice-default.json": _filled("{", '"a":1,', '"b":1}'),
    "escapes-default.json": _filled('{"a":"', "\\u0041", '"}'),
    "numbers-default.json": _filled('{"a":[', "1e9,", "1]}"),
}
