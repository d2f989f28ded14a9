"""How two documents differ: names of sources, their order, keys and values."""

from typing import Any

import pytest

from pyfly.config_cli._migration.compared_documents import Request, requests
from pyfly.config_cli._migration.document_differences import What, differences, file_part
from pyfly.config_core import ConfigKey, Environment, PropertySource


def document(**sources: Any) -> Environment:
    """Return a document; `#` in a name is written `__`."""
    return Environment(
        name="orders",
        profiles=("prod",),
        property_sources=tuple(
            PropertySource(
                name=name.replace("__", " (document #") + (")" * ("__" in name)), source=s
            )
            for name, s in sources.items()
        ),
    )


def found(old: Any, new: Any) -> list[tuple[What, str | None, str | None]]:
    return [(one.what, one.source, one.key) for one in differences(old, new)]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("file:/repo/orders-prod.yml", "orders-prod"),
        ("file:///C:/repo/orders.properties", "orders"),
        ("classpath:/config/orders.yaml", "orders"),
        ("https://git.example/team/config.git/eu/orders.yml", "orders"),
        ("git@git.example:team/config.git/orders.yml", "orders"),
        ("git@git.example:orders.yml", "orders"),
        ("Config resource 'file [/tmp/r/orders.yml]' via location 'file:/tmp/r/'", "orders"),
        ("Config resource 'file [C:\\r\\orders.yml]' via location 'x' (document #1)", "orders"),
        ("main/orders-prod.yaml", "orders-prod"),
        ("main/orders-prod", "orders-prod"),
        ("feature/x/orders.yml (document #0) (store #1)", "orders"),
        ("s3:orders-prod", "orders-prod"),
        ("redis:orders", "orders"),
        ("a.b.yml", "a.b"),
        ("overrides", "overrides"),
    ],
)
def test_the_file_part_of_a_name(name: str, part: str) -> None:
    assert file_part(name) == part


def test_equal_documents_have_no_differences() -> None:
    assert found(document(), document()) == []
    assert found(404, 404) == found(500, 500) == []
    old = document(**{"file:/r/a-p.yml": {"x": 1}, "file:/r/a.yml": {"y": None, "x": "1"}})
    new = document(**{"main/a-p.yaml": {"x": 1}, "main/a.yaml": {"x": "1", "y": None}})
    assert found(old, new) == []
    assert found(document(**{"a.yml": {}}), document(**{"main/a.yml__0": {}})) == []


def test_what_differs_is_named_in_order() -> None:
    old = document(**{"r/a-p.yml": {"x": 1, "gone": 1, "y": "1"}, "r/a.yml": {}, "r/b.yml": {}})
    new = document(**{"main/c.yml": {}, "main/a-p.yml": {"y": 1, "x": 1, "new": 2}, "m/b.yml": {}})
    assert found(old, new) == [
        (What.ONLY_OLD, "a-p", "gone"),
        (What.VALUE, "a-p", "y"),
        (What.ONLY_NEW, "a-p", "new"),
        (What.ONLY_OLD, "a", None),
        (What.ONLY_NEW, "c", None),
    ]
    assert found(new, new) == []


def test_another_order_of_the_same_sources_is_a_difference() -> None:
    one, other = {"r/a.yml": {"x": 1}, "r/b.yml": {}}, {"r/b.yml": {}, "r/a.yml": {"x": 1}}
    assert found(document(**one), document(**other)) == [(What.ORDER, None, None)]


def test_documents_of_one_file_are_compared_one_by_one() -> None:
    old = document(**{"r/a.yml__1": {"x": 1}, "r/a.yml__0": {"x": 2}})
    new = document(**{"r/a.yml__1": {"x": 2}, "r/a.yml__0": {"x": 2}})
    assert found(old, new) == [(What.VALUE, "a (document #1)", "x")]


def test_sources_of_one_name_are_compared_in_their_order() -> None:
    old = document(**{"r/eu/a.yml": {"x": 1}, "r/a.yml": {"x": 2}})
    assert found(old, document(**{"eu/a.yml": {"x": 1}, "m/a.yml": {"x": 2}})) == []
    assert found(old, document(**{"eu/a.yml": {"x": 1}})) == [(What.ONLY_OLD, "a", None)]


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (1, "1"), (True, 1), ("", None), (0, False)])
def test_types_are_compared(old: Any, new: Any) -> None:
    change = differences(document(a={"x": old}), document(a={"x": new}))
    assert [one.what for one in change] == [What.VALUE]
    assert "'x'" not in repr(change[0]).replace("key='x'", "")


def test_a_status_is_compared() -> None:
    (change,) = differences(404, document())
    assert (change.what, change.old, change.new) == (What.STATUS, 404, 200)
    assert found(500, 404) == found(document(), 500) == [(What.STATUS, None, None)]


def test_every_application_of_a_label_is_compared_in_every_profile_of_it() -> None:
    keys = [
        ConfigKey(application="orders", profile="prod"),
        ConfigKey(application="billing", profile="-"),
        ConfigKey(application="orders", profile="dev", label="next"),
    ]
    assert requests(keys) == [
        *(
            Request(label="main", application=application, profile=profile)
            for application in ("billing", "orders")
            for profile in ("default", "prod")
        ),
        Request(label="next", application="orders", profile="default"),
        Request(label="next", application="orders", profile="dev"),
    ]
    assert requests(keys, applications=["x"], profiles=["p"], labels=["main", "l"]) == [
        Request(label="l", application="x", profile="p"),
        Request(label="main", application="x", profile="p"),
    ]
    assert requests([]) == []
