r"""Placeholders: the results of Spring's own parser, and what all texts of an answer may cost.

The expected values were made with `EnvironmentPropertySource` of Spring Cloud Config 5.0.6 on
Spring Framework 7.0.9.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pyfly.config_core import (
    ConfigFormatError,
    Environment,
    PlaceholderResolver,
    PropertySource,
    resolve_placeholders,
)
from pyfly.config_core.limits import MAX_FLAT_BYTES, MAX_PLACEHOLDERS
from pyfly.config_server.composition.rendering import Extension, render

CASES: list[tuple[str, dict[str, str], str]] = [
    ("${x.${q:}z}", {}, "${x.z}"),
    ("${x${n}}", {}, "${x${n}}"),
    ("${x.${q}}", {"q": "y"}, "${x.y}"),
    ("${x.${q}}", {"q": "y", "x.y": "1"}, "1"),
    ("${a${b}}", {"b": "x:y", "ax": "1"}, "${ax:y}"),
    ("${a${b}:z}", {"b": "c"}, "z"),
    ("${a:${b}}", {"a": "1", "b": "${b}"}, "1"),
    ("${a:x${c}}", {"a:x1": "7", "c": "1"}, "x1"),
    ("${a:b}", {"a:b": "7"}, "7"),
    ("${a:b:c}", {}, "b:c"),
    ("${:x}", {}, "x"),
    ("${}", {}, "${}"),
    ("${a:{x}}", {}, "{x}"),
    ("${a{b}c}", {"a{b}c": "1"}, "1"),
    ("${${n}:${m}}", {}, "${m}"),
    ("${a${b:c}", {}, "${ac"),
    ("${a: x }", {}, " x "),
    (r"\${a}", {"a": "1"}, "${a}"),
    (r"\\${a}", {"a": "1"}, "${a}"),
    (r"\\\${a}", {"a": "1"}, r"\${a}"),
    (r"${b:\${c}}", {"c": "1"}, "${c}"),
    ("${a}", {"a": r"\${b}", "b": "2"}, "${b}"),
    ("${a}", {"a": r"\\${b}", "b": "2"}, r"\${b}"),
    ("${a}", {"a": r"\${b"}, r"\${b"),
    ("${a}", {"a": "x${none}y"}, "x${none}y"),
    (r"${c}", {"c": r"${a\:b}", "a:b": "5"}, "5"),
]


@pytest.mark.parametrize(("text", "values", "expected"), CASES)
def test_a_text_is_filled_as_by_spring(text: str, values: dict[str, str], expected: str) -> None:
    assert resolve_placeholders(text, values.get) == expected


@pytest.mark.parametrize(
    ("text", "values", "in_a_text", "in_a_value"),
    [
        ("${ a }", {"a": "1"}, "${ a }", "1"),
        ("${ a }", {}, "${ a }", "${ a }"),
        (r"${a\:b}", {"a:b": "5"}, "5", "b"),
        (r"\${", {}, "${", r"\${"),
        (r"\${}", {}, "${}", r"\${}"),
    ],
)
def test_values_of_trees_are_filled_by_slightly_other_rules_than_texts(
    text: str, values: dict[str, str], in_a_text: str, in_a_value: str
) -> None:
    assert resolve_placeholders(text, values.get) == in_a_text
    assert resolve_placeholders(text, values.get, trim=True) == in_a_value


def test_a_value_is_asked_for_and_resolved_once_for_all_texts() -> None:
    asked: list[str] = []

    def look_up(key: str) -> str | None:
        asked.append(key)
        return {"a": "${b}${b}", "b": "x"}.get(key)

    resolver = PlaceholderResolver(look_up)
    assert [resolver.resolve(text) for text in ("${a}", "${a}-${b}", "b")] == ["xx", "xx-x", "b"]
    assert asked == ["a", "b"]


def test_a_resolver_goes_on_after_a_placeholder_that_leads_back_to_itself() -> None:
    resolver = PlaceholderResolver({"a": "${b}", "b": "${a}", "c": "1"}.get)
    for _ in range(2):
        with pytest.raises(ConfigFormatError, match="'a' leads back to itself"):
            resolver.resolve("${a}")
    assert resolver.resolve("${c}") == "1"


def test_a_chain_that_is_too_long_is_refused_with_the_place_where_it_ends() -> None:
    chain = {f"k{n}": f"${{k{n + 1}}}" for n in range(100)}
    with pytest.raises(ConfigFormatError, match="more than 64 deep, in the value of 'k63'"):
        PlaceholderResolver(chain.get).resolve("${k0}")
    with pytest.raises(ConfigFormatError, match=r"more than 64 deep\Z"):
        resolve_placeholders("${" * 65 + "}" * 65, {}.get)


def test_the_text_that_all_values_put_in_is_bounded_together() -> None:
    resolver = PlaceholderResolver({"a": "ü" * 100_000}.get)
    with pytest.raises(ConfigFormatError, match="insert more than 4,194,304 bytes, at 'a'"):
        resolve_all(resolver, ["${a}"] * (MAX_FLAT_BYTES // 200_000 + 1))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["${a}", "${a${b}:${c}}", "${:}"])
def test_the_number_of_placeholders_is_bounded_together(text: str) -> None:
    resolver = PlaceholderResolver({"a": ""}.get)
    rounds = MAX_PLACEHOLDERS // text.count("$") + 1
    with pytest.raises(ConfigFormatError, match="more than 100,000 placeholders"):
        resolve_all(resolver, [text] * rounds)
    with pytest.raises(ConfigFormatError, match="more than 100,000 placeholders"):
        resolve_placeholders("${a}" * (MAX_PLACEHOLDERS + 1), {}.get)


def doubling(first: str) -> dict[str, str]:
    """`x16` is 65,536 times the first one; 40 texts ask for it."""
    steps = {f"x{n}": f"${{x{n - 1}}}${{x{n - 1}}}" for n in range(1, 17)}
    return {"x0": first} | steps | {f"y{n}": "${x16}" for n in range(40)}


NESTED_DEFAULTS = {"a": "${a:" * 63 + "x" * 200_000 + "}" * 63}
SPREAD = {"a": "${b:" + "${c}" * 60_000 + "}", "b": "", "c": ""}
BRACES = {"a": "${" + "{" * 250_000, "b": "${" * 125_000, "c": "${}" * 80_000}


@pytest.mark.measured
@pytest.mark.parametrize("extension", ["json", "yml", "properties"])
@pytest.mark.parametrize(
    "values",
    [doubling(""), doubling("x"), doubling("xyz"), NESTED_DEFAULTS, SPREAD, BRACES],
    ids=["empty", "one", "three", "nested", "spread", "braces"],
)
def test_no_answer_costs_much_however_its_placeholders_are_woven(
    values: dict[str, str], extension: Extension
) -> None:
    source = PropertySource(name="s", source=values)
    environment = Environment(name="a", profiles=("p",), property_sources=(source,))
    seconds = cost(lambda: render_or_refuse(environment, extension))
    assert seconds < 3 * 0.25


@pytest.mark.measured
def test_the_values_of_many_sources_are_found_without_asking_each() -> None:
    sources = tuple(PropertySource(name=str(n), source={f"k{n}": "1"}) for n in range(256))
    text = PropertySource(name="t", source={"t": "${k0}${none}" * 40_000})
    environment = Environment(name="a", profiles=("p",), property_sources=(*sources, text))
    assert cost(lambda: render_or_refuse(environment, "json")) < 3 * 0.25


def test_a_doubling_text_is_made_within_the_limit_and_without_much_memory() -> None:
    values = doubling("xyz")
    resolver = PlaceholderResolver(values.get)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigFormatError, match="insert more than"):
            resolve_all(resolver, values.values())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 8_000_000


def resolve_all(resolver: PlaceholderResolver, texts: Iterable[str]) -> None:
    for text in texts:
        resolver.resolve(text)


def cost(work: Callable[[], Any]) -> float:
    """Return the seconds of CPU that some work takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def render_or_refuse(environment: Environment, extension: Extension) -> bytes | None:
    try:
        return render(environment, extension)
    except ConfigFormatError as error:
        assert "insert more than" in str(error) or "leads back" in str(error)
        return None
