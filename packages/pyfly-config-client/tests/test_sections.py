"""Sections that are merged with what a program knows, and explanations of many keys."""

import time

import pytest

from pyfly.config_client import PropertyTypeError
from pyfly.config_client._properties import ConfigMetadata, Properties, read_properties
from pyfly.config_core import FlatValue, PropertySource


def made(*sources: dict[str, FlatValue], placeholders: bool = True) -> Properties:
    named = [PropertySource(name=f"s{n}", source=one) for n, one in enumerate(sources)]
    return read_properties(named, ConfigMetadata(), environ={} if placeholders else None)


def test_placeholders_lead_out_of_a_section_that_is_merged() -> None:
    properties = made({"db.url": "${host}/${db.name}", "db.name": "x", "host": "h"}, {"other": 1})
    merged = properties.section("db").merge_into(
        {"user": "me"}, arguments={"name": "y"}, environ={}
    )
    assert merged == {"url": "h/y", "name": "y", "user": "me"}


def test_a_section_that_is_merged_says_what_cannot_be_resolved() -> None:
    section = made({"db.a": "${db.b}", "db.b": "${db.a}"}).section("db")
    with pytest.raises(PropertyTypeError, match=r"'db\.a' cannot be resolved"):
        _ = section.merge_into(environ={})["a"]


def test_a_section_that_is_merged_explains_and_merges_again() -> None:
    section = made({"db.hosts[0]": "a", "db.pool[0].size": 1}).section("db")
    merged = section.merge_into({"url": "u"}, environ={"HOSTS_0": "b", "POOL_0_SIZE": "2"})
    assert merged == {"hosts[0]": "b", "pool[0].size": "2", "url": "u"}
    assert str(merged.origin("hosts[0]")) == "environment (HOSTS_0)"
    assert [one.source for one in merged.explain("hosts[0]").losers] == ["s0"]
    again = merged.section("pool").merge_into({"[0].wait": "1s"}, environ={})
    assert again == {"[0].size": "2"}


def test_merging_leaves_placeholders_that_were_to_be_left() -> None:
    properties = made({"log.pattern": "${level}", "level": "x"}, placeholders=False)
    assert properties.merge_into(environ={})["log.pattern"] == "${level}"
    assert properties.section("log").merge_into(environ={})["pattern"] == "${level}"


@pytest.mark.measured
def test_explaining_every_key_looks_at_all_keys_once() -> None:
    source: dict[str, FlatValue] = {f"app.feature-{n}.on": n for n in range(5_000)}
    properties = made(source, source)
    began = time.process_time()
    for key in properties:
        assert properties.explain(key).losers[0].source == "s1"
    assert time.process_time() - began < 1  # 0.05 s; comparing all pairs of keys took 56 s


def test_an_element_of_a_list_is_merged_like_every_section() -> None:
    properties = made({"dbs[0].url": "u", "dbs[0].size": 1, "dbs[1].url": "${dbs[0].url}/v"})
    merged = properties.section("dbs[0]").merge_into({"user": "me"}, arguments={"size": 2})
    assert merged == {"url": "u", "size": 2, "user": "me"}
    assert properties.section("dbs[1]").merge_into({"size": 3}, environ={}) == {
        "url": "u/v",
        "size": 3,
    }


def test_a_section_that_was_merged_is_merged_again() -> None:
    section = made({"db.url": "${host}/${db.name}", "host": "h"}).section("db")
    merged = section.merge_into({"name": "a"}, environ={})
    merged = merged.merge_into({"x": "${db.name}"}, environ={})
    assert merged == {"url": "h/a", "name": "a", "x": "a"}


def test_names_in_placeholders_of_a_section_are_whole() -> None:
    properties = made({"db.url": "${url:none}", "url": "outer"})
    assert properties.section("db").merge_into(environ={}) == {"url": "outer"}
    assert made({"db.url": "${url:none}"}).section("db").merge_into(environ={}) == {"url": "none"}
