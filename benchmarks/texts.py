"""What the most expensive text of 1 MiB costs, in every format, read and written.

Each case runs in a process of its own and prints its CPU time, the memory that the process took
on top of what it had, and whether the text was taken or refused. No server is needed. Arguments
choose cases by a part of their name: scripts/bench texts yaml
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from pyfly.config_core import (
    ConfigError,
    Environment,
    PropertySource,
    check_collisions,
    copy_properties,
    flatten,
    merge,
    rebuild,
)
from pyfly.config_server.composition.rendering import Extension, render
from pyfly.config_server.formats.text import (
    dump_text,
    holds_several_documents,
    parse_documents,
    parse_mapping,
)

MIB: Final = 1_048_576


class Case(NamedTuple):
    """Something that costs."""

    name: str
    work: Callable[[], object]


class Cost(NamedTuple):
    """What it cost."""

    seconds: float
    megabytes: float
    outcome: str


def fill(piece: str, *, before: str = "", behind: str = "", size: int = MIB) -> bytes:
    """Return a text of at most `size` bytes that repeats a piece; `{n}` in it is its number."""
    room = size - len(before.encode()) - len(behind.encode())
    if "{n}" in piece:
        longest = len(piece.encode()) + len(str(room)) - len("{n}")
        pieces = [piece.replace("{n}", str(number)) for number in range(room // longest)]
        return (before + "".join(pieces) + behind).encode()
    return (before + piece * (room // len(piece.encode())) + behind).encode()


def nested(levels: int, leaf: Any, key: str = "k") -> dict[str, Any]:
    """Return a leaf below so many keys."""
    for _ in range(levels):
        leaf = {key: leaf}
    return leaf


YAML: Final[dict[str, bytes]] = {
    "scalars in a list": fill("- a\n"),
    "keys": fill("{n}: a\n"),
    "20,000 keys": fill("key{n}: value of the key\n", size=590_000),
    "empty documents": fill("---\n"),
    "documents": fill("---\na: 1\n"),
    "ended documents": fill("a\n...\n"),
    "comments": fill("#\n"),
    "long comments": fill("# a comment that is long\n"),
    "blank lines": fill("\n", behind="a: 1"),
    "blanks": fill(" ", behind="a: 1"),
    "carriage returns": fill("\r", behind="a: 1"),
    "flow list": fill("a,", before="[", behind="]"),
    "flow mapping": fill("{n}: a, ", before="{", behind="}"),
    "flow brackets": fill("["),
    "flow braces": fill("{a: "),
    "empty flow lists": fill("[],", before="[", behind="]"),
    "flow mappings": fill("{a: 1},", before="[", behind="]"),
    "nested flow": fill("[" * 60 + "a" + "]" * 60 + ",", before="[", behind="]"),
    "block nesting": fill("- " * 60 + "a\n"),
    "question marks": fill("? "),
    "complex keys": fill("? a\n: b\n", before="x:\n"),
    "plain text": fill("a b\n  ", before="x: "),
    "plain text of one line": fill("a ", before="x: "),
    "single-quoted text": fill("a\n\n ", before="x: '", behind="'"),
    "double-quoted text": fill("\\x41", before='x: "', behind='"'),
    "folded lines": fill("\\\n ", before='x: "', behind='"'),
    "block text": fill(" a\n", before="x: |\n"),
    "block of blank lines": fill("\n", before="x: |\n a\n", behind=" b"),
    "folded block": fill(" a\n\n", before="x: >\n"),
    "unclosed quote": fill("a ", before="x: '"),
    "anchors": fill("- &a{n} a\n"),
    "aliases": fill("*a, ", before="a: &a b\nl: [", behind="]"),
    "aliases of a list": fill("*a, ", before="a: &a [" + "x," * 40_000 + "]\nl: [", behind="]"),
    "merges": fill("- {<<: *a}\n", before="a: &a {b: 1}\nl:\n"),
    "tags": fill("- !!str a\n"),
    "long tags": fill("- !<" + "t" * 200 + "> a\n"),
    "tag directives": fill("%TAG !a{n}! x\n", behind="--- a\n"),
    "unknown directives": fill("%A\n", behind="--- a\n"),
    "numbers": fill("- 1:59:59\n"),
    "long numbers": fill("- " + "1" * 1_000 + "\n"),
    "hexadecimal": fill("- 0x" + "f" * 1_000 + "\n"),
    "floats": fill("- 1.5e10\n"),
    "characters beyond ASCII": fill("- ü\n"),
    "characters beyond the basic plane": fill("- 😀\n"),
    "a broken end": fill("a{n}: b\n", behind="{"),
}
JSON: Final[dict[str, bytes]] = {
    "keys": fill('"{n}":0,', before="{", behind='"":0}'),
    "20,000 keys": fill('"key{n}":"value of the key",', before="{", behind='"":0}', size=700_000),
    "numbers": fill("0,", before='{"a":[', behind="0]}"),
    "long numbers": fill("9" * 4_200 + ",", before='{"a":[', behind="0]}"),
    "floats": fill("1e300,", before='{"a":[', behind="0]}"),
    "empty objects": fill("{},", before='{"a":[', behind="0]}"),
    "objects": fill('{"":0},', before='{"a":[', behind="0]}"),
    "empty lists": fill("[],", before='{"a":[', behind="0]}"),
    "nested lists": fill("[" * 60 + "0" + "]" * 60 + ",", before='{"a":[', behind="0]}"),
    "nested objects": fill('{"a":' * 60 + "0" + "}" * 60 + ",", before='{"a":[', behind="0]}"),
    "brackets": fill("["),
    "escapes": fill("\\u0041", before='{"a":"', behind='"}'),
    "blanks": fill(" ", behind="{}"),
    "one key twice": fill('"a":0,', before="{", behind='"a":0}'),
}
PROPERTIES: Final[dict[str, bytes]] = {
    "keys": fill("{n}\n"),
    "20,000 keys": fill("key{n} = value of the key\n", size=620_000),
    "one key": fill("a=\n"),
    "continued lines": fill("a\\\n"),
    "continued blank lines": fill("\\\n", before="a=1"),
    "continued comments": fill("\\\n#"),
    "separators": fill("#---\n#x\n", before="".join(f"a{n}=1\n" for n in range(15_000))),
    "documents": fill("a=1\n#---\n"),
    "comments": fill("#\n"),
    "blank lines": fill("\n"),
    "carriage returns": fill("\r"),
    "backslashes": fill("\\\\", before="a="),
    "escapes": fill("\\u0041", before="a="),
    "escaped keys": fill("\\ "),
    "blanks": fill(" ", behind="a=1"),
    "blanks before a value": fill(" ", before="a", behind="=1"),
    "a broken escape": fill("\\\\", before="a=", behind="\\u12"),
}
TREES: Final[dict[str, dict[str, Any]]] = {
    "20,000 keys": {f"key{n}": "value of the key" for n in range(20_000)},
    "texts that read as numbers": {f"key{n}": str(n) for n in range(20_000)},
    "lists of one": {f"a{n}": [[[[1]]]] for n in range(9_000)},
    "deep": {f"a{n}": nested(59, n, "b") for n in range(800)},
    "deep and wide": nested(60, {f"a{n}": n for n in range(20_000)}),
    "long text": {"a": "word " * 200_000},
    "text of many lines": {"a": "a\n" * 500_000},
    "text of blanks": {"a": " " * 1_000_000},
    "quotes": {"a": "'" * 1_000_000},
    "controls": {"a": "\x01" * 150_000},
    "characters beyond the basic plane": {"a": "😀" * 250_000},
    "long keys": {f"{n}" + "k" * 500: 1 for n in range(2_000)},
    "gaps": {"a[19999]": 1},
    "flat keys of many levels": {f"a{n}." + ".".join("b" * 60): n for n in range(7_000)},
}
PLACEHOLDERS: Final[dict[str, dict[str, Any]]] = {
    "one value": {"a": "", "b": "${a}" * 99_999},
    "too many": {"a": "", "b": "${a}" * 250_000},
    "unresolved": {"b": "${a}" * 99_999},
    "doubling": {"x0": "x"}
    | {f"x{n}": f"${{x{n - 1}}}" * 2 for n in range(1, 30)}
    | {f"y{n}": "${x16}" for n in range(40)},
    "nested": {"a": "${" * 60 + "x" * 900_000 + "}" * 60},
    "nested defaults": {"a": "${b:" * 60 + "x" * 900_000 + "}" * 60},
    "unclosed": {"a": "${" * 500_000},
    "braces": {"a": "${" + "{" * 500_000 + "}" * 500_000},
    "backslashes": {"a": "\\" * 500_000 + "${a}" + "\\${" * 100_000},
    "colons": {"a": "${" + "\\:" * 500_000 + "}"},
}


def document(values: dict[str, Any]) -> Environment:
    """Return a document with one source, if its tree can be flattened."""
    source = PropertySource(name="s", source=flatten(copy_properties(values)))
    return Environment(name="a", profiles=("p",), property_sources=(source,))


def cases() -> list[Case]:
    """Return all cases."""
    made: list[Case] = []
    for suffix, texts in ((".yaml", YAML), (".json", JSON), (".properties", PROPERTIES)):
        for name, text in texts.items():
            made.append(Case(f"{suffix} read: {name}", partial(read, text, suffix)))
            if suffix == ".yaml":
                work = partial(holds_several_documents, text, suffix=suffix)
                made.append(Case(f"{suffix} documents counted: {name}", work))
    made += [
        Case(f"{suffix} saved: {name}", partial(save, tree, suffix))
        for name, tree in TREES.items()
        for suffix in (".yaml", ".json")
    ]
    extensions: tuple[Extension, ...] = ("yml", "json", "properties")
    made += [
        Case(f"/x.{extension}: {name}", partial(show, tree, extension))
        for name, tree in (TREES | PLACEHOLDERS).items()
        for extension in extensions
    ]
    sources = [{f"a{n}.b[{m}]": 1 for m in range(100)} for n in range(200)]
    made.append(Case("200 sources merged and rebuilt", lambda: rebuild(merge(sources))))
    return made


def read(text: bytes, suffix: str) -> object:
    """Read a file as a server does for an answer."""
    return [flatten(one.properties) for one in parse_documents(text, suffix=suffix)]


def save(tree: dict[str, Any], suffix: str) -> object:
    """Take a body and make a file of it."""
    body = json.dumps(tree, ensure_ascii=False).encode()
    properties = copy_properties(parse_mapping(body, suffix=".json"))
    check_collisions(properties)
    return dump_text(properties, suffix=suffix)


def show(tree: dict[str, Any], extension: Extension) -> object:
    """Answer in a flattened format."""
    return render(document(tree), extension)


def measured(case: Case) -> Cost:
    """Run a case in a process of its own."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(case, theirs))
    process.start()
    cost: Cost = ours.recv()
    process.join()
    return cost


def _run(case: Case, answer: Connection) -> None:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = time.process_time()
    try:
        case.work()
        outcome = "taken"
    except ConfigError as error:
        outcome = f"refused: {str(error)[:100]}"
    seconds = time.process_time() - before
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - kilobytes
    answer.send(Cost(seconds, taken / 1024, outcome))


def main() -> int:
    wanted = sys.argv[1:] or [""]
    chosen = [case for case in cases() if any(part in case.name for part in wanted)]
    costs = [(measured(case), case.name) for case in chosen]
    for cost, name in sorted(costs, reverse=True):
        print(f"{cost.seconds:8.3f} s {cost.megabytes:7.1f} MiB  {name}: {cost.outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
