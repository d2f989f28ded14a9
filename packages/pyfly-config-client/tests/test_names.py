"""Every look-up agrees on canonical names, for keys of any form."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pyfly.config_client._merging import list_of, lists_in, merge_sources
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_core import PropertySource
from pyfly.config_core.property_names import canonical, elements, join

KEYS = st.text(alphabet="aAb.-_[]01é", max_size=12)
SOURCES = st.lists(st.dictionaries(KEYS, st.integers(0, 9), max_size=6), max_size=3)
MANY = settings(max_examples=3 * settings().max_examples // 2)


@MANY
@given(SOURCES)
def test_every_look_up_agrees(sources: list[dict[str, int]]) -> None:
    named = [PropertySource(name=f"s{n}", source=dict(one)) for n, one in enumerate(sources)]
    properties = read_properties(named, ConfigMetadata(), environ={})
    assert len(properties) == len({canonical(key) for key in properties})
    assert properties == dict(properties)
    assert isinstance(properties.tree(), dict)
    for key, value in properties.items():
        node = properties.root.find(canonical(key))
        assert node is not None
        assert (node.value, properties.get(key, int), value) == (value, value, value)
        if "[" not in key:
            assert properties[key.swapcase()] == value
        assert properties.explain(key).winner.source in {one.name for one in named}
        parts = elements(key)
        if len(parts) > 1 and parts[0][0]:
            rest = join(parts[1:])
            assert properties.section(join(parts[:1])).get(rest) == value


@MANY
@given(SOURCES)
def test_the_highest_source_wins_and_lists_are_whole(sources: list[dict[str, int]]) -> None:
    merged = merge_sources(sources)
    lists = lists_in(sources)

    def group(key: str) -> str:
        outer = list_of(canonical(key), lists)
        return canonical(key) if outer is None else outer

    highest: dict[str, int] = {}
    for number, source in enumerate(sources):
        for key in source:
            highest.setdefault(group(key), number)
    for key, value in merged.values.items():
        assert sources[highest[group(key)]][key] == value
    assert {group(key) for key in merged.values} == highest.keys()
