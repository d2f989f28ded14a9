"""The base of all suites, which keeps test classes from replacing tests."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Final, cast

import pytest

from pyfly.config_core import DEFAULT_LABEL, ConfigKey, JsonValue
from pyfly.config_server.storage import ConfigBackend, ConfigSource, SupportsClose, ability
from pyfly.config_server.testing._shape import shape_faults

_PACKAGE: Final = __name__.rpartition(".")[0]
_SHOWN_LENGTH: Final = 200
_SHAPE_TEST: Final = "test_the_store_has_the_shape_of_the_interface"

MIXINS: Final[dict[type, type]] = {}
"""The mixin for each ability, by its Protocol."""

ORDERS: Final = ConfigKey(application="orders", profile="prod")
"""The default key of `bundle()`."""

HOSTILE_NAMES: Final = (
    pytest.param("..", id="parent"),
    pytest.param("../x", id="path-to-parent"),
    pytest.param("a\0", id="nul"),
    pytest.param("", id="empty"),
    pytest.param("a/../b", id="parent-inside"),
    pytest.param("/etc", id="absolute"),
    pytest.param("a\n", id="line-feed"),
    pytest.param("-a", id="dash-first"),
    pytest.param("a" * 200, id="too-long"),
)


_SIBLINGS: Final = {"feature": "featur", "feature/x/y": "feature/y", "main/x": "mains/x"}
"""What stands for a label above or below another one; in the same place of a listing."""


class Conformance:
    """The base of every suite. Test classes use the suites, not this class.

    Raises:
        TypeError: A class outside of this package replaces a test of a suite without the mark
            `xfail(strict=True, reason=…)`.
    """

    pytestmark = pytest.mark.anyio
    labels_without_children: ClassVar[str | None] = None
    """The reason why a store cannot have the label `feature/x` beside `feature`; tests then use
    other labels. `None` if it can."""
    _well_formed: ClassVar[type | None] = None  # the class of the last store without faults

    def __init_subclass__(cls, *, ability: type | None = None) -> None:
        super().__init_subclass__()
        if _is_suite(cls):
            if ability is not None:
                MIXINS[ability] = cls
            return
        for name in _replaced(cls):
            raise TypeError(
                f"{cls.__name__} replaces {name} of the conformance suite; mark a replaced test "
                "xfail(strict=True, reason=…)"
            )

    def label(self, label: str) -> str:
        """Return a label of a test, or one that the store can have beside the other labels."""
        return _SIBLINGS.get(label, label) if self.labels_without_children else label

    def relabelled(self, source: ConfigSource) -> ConfigSource:
        """Return a bundle of a test under a label that the store can have beside the others."""
        label = self.label(source.label)
        return source if label == source.label else replace(source, label=label)

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio."""
        return "asyncio"

    @pytest.fixture(autouse=True)
    def need_the_shape(self, request: pytest.FixtureRequest, backend: ConfigBackend) -> None:
        """Skip a test if a method of the store has the wrong signature."""
        name = getattr(request.node, "originalname", request.node.name)
        if name == _SHAPE_TEST or type(backend) is self._well_formed:
            return
        if shape_faults(backend):
            pytest.skip(f"correct the methods of the store first: see {_SHAPE_TEST}")
        type(self)._well_formed = type(backend)  # noqa: SLF001 - its own class

    async def test_the_store_has_the_shape_of_the_interface(self, backend: ConfigBackend) -> None:
        """Its methods are async if they must be, and accept the arguments of callers.

        While this test fails, all other tests are skipped.
        """
        faults = shape_faults(backend)
        assert not faults, "\n".join([f"{type(backend).__name__}:", *faults])


def _is_suite(cls: type) -> bool:
    return cls.__module__.startswith(f"{_PACKAGE}.")


def _replaced(cls: type) -> Iterator[str]:
    suites = [base for base in cls.__mro__ if _is_suite(base)]
    tests = {name for suite in suites for name in vars(suite) if name.startswith("test")}
    for name in sorted(tests):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if not _is_suite(owner) and not _is_declared(vars(owner)[name]):
            yield name


def _is_declared(test: object) -> bool:
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    return any(
        mark.name == "xfail"
        and mark.kwargs.get("strict") is True
        and bool(mark.kwargs.get("reason"))
        and mark.kwargs.get("run", True) is True
        for mark in marks
    )


def exercised(suite: Conformance) -> set[type]:
    """Return the Protocols of all mixins of a test class."""
    return {kind for kind, mixin in MIXINS.items() if isinstance(suite, mixin)}


async def close(backend: object) -> None:
    """Close a store if it can be closed."""
    closing = ability(backend, SupportsClose)
    if closing is not None:
        await closing.aclose()


def bundle(
    application: str = "orders",
    profile: str = "prod",
    label: str = DEFAULT_LABEL,
    *,
    properties: Mapping[str, JsonValue] | None = None,
) -> ConfigSource:
    """Return a source to store. By default its properties are its name."""
    return ConfigSource(
        application=application,
        profile=profile,
        label=label,
        properties={"name": f"{application}/{profile}/{label}"}
        if properties is None
        else properties,
    )


async def fetched(backend: ConfigBackend, source: ConfigSource) -> ConfigSource | None:
    """Return the stored source under the key of `source`."""
    return await backend.fetch(source.application, source.profile, source.label)


async def stored(backend: ConfigBackend, source: ConfigSource) -> ConfigSource:
    """Return the stored source under the key of `source`; fail if it is absent."""
    found = await fetched(backend, source)
    assert found is not None, f"{source.key} is not stored"
    return found


async def stored_version(backend: ConfigBackend, source: ConfigSource) -> str:
    """Return the stored version under the key of `source`; fail if there is none."""
    version = (await stored(backend, source)).version
    assert version is not None, f"{source.key} is stored without a version"
    return version


def assert_same(found: object, expected: object) -> None:
    """Fail with the first difference between two trees. Types and the order of keys count.

    Only one shortened difference is shown, because pytest takes minutes to compare large trees.
    """
    difference = _difference(found, expected, "properties")
    assert difference is None, difference


def _difference(found: object, expected: object, path: str) -> str | None:
    if type(found) is not type(expected):
        return f"{path}: {_shown(found)} where {_shown(expected)} was stored"
    if isinstance(expected, dict):
        was = cast("dict[str, object]", expected)  # isinstance does not know the type parameters
        now = cast("dict[str, object]", found)
        if [*now] != [*was]:
            return f"{path}: the keys {_shown([*now])} where {_shown([*was])} were stored"
        pairs = ((now[key], was[key], f"{path}[{_shown(key)}]") for key in was)
    elif isinstance(expected, list):
        items = cast("list[object]", expected)  # the same
        others = cast("list[object]", found)
        if len(others) != len(items):
            return f"{path}: {len(others)} items where {len(items)} were stored"
        pairs = ((others[n], item, f"{path}[{n}]") for n, item in enumerate(items))
    elif repr(found) != repr(expected):  # 0.0 and -0.0 differ, and NaN equals NaN
        return f"{path}: {_shown(found)} where {_shown(expected)} was stored"
    else:
        return None
    return next(filter(None, (_difference(*pair) for pair in pairs)), None)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}… ({len(text)} long)"
