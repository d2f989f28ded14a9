from typing import Any

import pytest

from pyfly.config_core import (
    ConfigFormatError,
    Environment,
    PropertySource,
    decode_environment,
    encode_environment,
    limits,
)

DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "profiles": ["prod,eu"],
    "label": None,
    "version": None,
    "state": None,
    "propertySources": [{"name": "main/orders-prod.yaml", "source": {"db.url": "x", "n": 1}}],
}


def test_the_document_has_all_six_fields_and_comes_back_equal() -> None:
    environment = Environment(
        name="orders",
        profiles=("prod,eu",),
        property_sources=(
            PropertySource(name="main/orders-prod.yaml", source={"db.url": "x", "n": 1}),
        ),
    )
    assert encode_environment(environment) == DOCUMENT
    assert decode_environment(DOCUMENT) == environment


def test_the_documents_of_other_servers_are_read() -> None:
    other = DOCUMENT | {"extra": 1, "profiles": ["prod", "eu"], "state": ""}
    other["propertySources"] = [
        {"name": "x", "source": {"a": {"value": 1, "origin": "1:2"}, "b": None, "c": True}}
    ]
    del other["version"]
    environment = decode_environment(other)
    assert environment.profiles == ("prod", "eu")
    assert environment.version is None
    assert environment.property_sources[0].source == {"a": 1, "b": "", "c": True}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": None}, "'name'"),
        ({"name": ""}, "'name'"),
        ({"profiles": "prod"}, "'profiles'"),
        ({"profiles": [1]}, "'profiles'"),
        ({"label": 1}, "'label'"),
        ({"propertySources": None}, "'propertySources'"),
        ({"propertySources": [1]}, r"propertySources\[0\]"),
        ({"propertySources": [{"source": {}}]}, r"propertySources\[0\]"),
        ({"propertySources": [{"name": "", "source": {}}]}, r"propertySources\[0\]"),
        ({"propertySources": [{"name": "x"}]}, r"propertySources\[0\]"),
        (
            {"propertySources": [{"name": "x", "source": {"k": [1]}}]},
            r"'k' in 'propertySources\[0\]'",
        ),
        (
            {"propertySources": [{"name": "x", "source": {"k": {"value": 1}}}]},
            r"'k' in 'propertySources\[0\]'",
        ),
        ({"propertySources": [{"name": "x", "source": {"k": {"value": [], "origin": ""}}}]}, "'k'"),
    ],
)
def test_a_document_of_another_shape_is_refused_by_field(change: Any, named: str) -> None:
    with pytest.raises(ConfigFormatError, match=named):
        decode_environment(DOCUMENT | change)


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(ConfigFormatError):
        decode_environment(document)


def test_no_value_shows_in_a_representation() -> None:
    assert "marker" not in repr(
        decode_environment(
            DOCUMENT | {"propertySources": [{"name": "x", "source": {"password": "marker"}}]}
        )
    )


@pytest.mark.parametrize("field", ["name", "label", "version", "state", "profiles", "key", "value"])
def test_half_of_a_surrogate_pair_is_no_text(field: str) -> None:
    half = "a\ud800"
    source = {half: 1} if field == "key" else {"k": half}
    changes: dict[str, Any] = {
        "profiles": {"profiles": [half]},
        "key": {"propertySources": [{"name": "x", "source": source}]},
        "value": {"propertySources": [{"name": "x", "source": source}]},
    }
    with pytest.raises(ConfigFormatError, match="is not valid Unicode") as caught:
        decode_environment(DOCUMENT | changes.get(field, {field: half}))
    assert caught.value.__cause__ is None


def with_sources(*sources: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": f"s{i}", "source": source} for i, source in enumerate(sources)]
    return DOCUMENT | {"propertySources": listed}


def test_all_sources_together_are_bounded() -> None:
    half = {f"k{i}": i for i in range(limits.MAX_PROPERTIES // 2)}
    assert len(decode_environment(with_sources(half, half)).property_sources) == 2
    with pytest.raises(ConfigFormatError, match="more than 20,000 properties"):
        decode_environment(with_sources(half, half, {"one": "more"}))
    large = "ü" * (limits.MAX_FLAT_BYTES // 4 - 1)
    assert len(decode_environment(with_sources({"a": large}, {"b": large})).property_sources) == 2
    with pytest.raises(ConfigFormatError, match="more than 4,194,304 bytes"):
        decode_environment(with_sources({"abc": large}, {"bcd": large}))
    decode_environment(with_sources(*[{}] * limits.MAX_SOURCES))
    with pytest.raises(ConfigFormatError, match="more than 4,096 property sources"):
        decode_environment(with_sources(*[{}] * (limits.MAX_SOURCES + 1)))


def test_a_long_name_is_shortened_in_a_message() -> None:
    source = {"name": "n" * 100_000, "source": {"k" * 100_000: []}}
    with pytest.raises(ConfigFormatError, match="is not a single value") as caught:
        decode_environment(DOCUMENT | {"propertySources": [source]})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("part", ["a.", "[0]"])
def test_a_key_of_countless_parts_is_refused(part: str) -> None:
    decode_environment(with_sources({part * limits.MAX_KEY_PARTS: 1}))
    with pytest.raises(ConfigFormatError, match="more than 1,000 parts"):
        decode_environment(with_sources({part * (limits.MAX_KEY_PARTS + 1): 1}))
