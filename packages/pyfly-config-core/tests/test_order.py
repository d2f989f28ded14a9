"""The golden table of precedence."""

import pytest

from pyfly.config_core import InvalidConfigKeyError
from pyfly.config_server.composition.lookups import plan_lookups


@pytest.mark.parametrize(
    ("application", "profile", "stems", "bases"),
    [
        ("orders", "default", "orders-default application-default", "orders application"),
        (
            "orders",
            "prod",
            "orders-prod application-prod orders-default application-default",
            "orders application",
        ),
        (
            "orders",
            "prod,eu",
            "orders-eu application-eu orders-prod application-prod "
            "orders-default application-default",
            "orders application",
        ),
        (
            "orders",
            "eu,prod",
            "orders-prod application-prod orders-eu application-eu "
            "orders-default application-default",
            "orders application",
        ),
        (
            "orders",
            "prod,prod",
            "orders-prod application-prod orders-default application-default",
            "orders application",
        ),
        (
            "orders",
            "default,prod",
            "orders-prod application-prod orders-default application-default",
            "orders application",
        ),
        ("application", "prod", "application-prod application-default", "application"),
        (
            "orders,billing",
            "prod",
            "billing-prod orders-prod application-prod "
            "billing-default orders-default application-default",
            "billing orders application",
        ),
        (
            "orders,application",
            "default",
            "orders-default application-default",
            "orders application",
        ),
    ],
)
def test_the_order_of_sources(application: str, profile: str, stems: str, bases: str) -> None:
    (lookup,) = plan_lookups(application=application, profile=profile, label="main")
    assert [f"{key.application}-{key.profile}" for key in lookup.keys] == stems.split()
    assert [key.application for key in lookup.base_keys] == bases.split()
    assert {key.label for key in lookup.keys} == {"main"}


@pytest.mark.parametrize(
    ("profile", "stems"),
    [
        ("default", "orders-default application-default"),
        ("prod", "orders-prod application-prod"),
        (
            "default,prod",
            "orders-prod application-prod orders-default application-default",
        ),
        (
            "prod,default,prod",
            "orders-default application-default orders-prod application-prod",
        ),
    ],
)
def test_without_a_base_profile_every_profile_counts_where_it_is_asked_for(
    profile: str, stems: str
) -> None:
    (lookup,) = plan_lookups(application="orders", profile=profile, label="main", base_profile=None)
    assert [f"{key.application}-{key.profile}" for key in lookup.keys] == stems.split()
    assert [key.application for key in lookup.base_keys] == ["orders", "application"]


def test_the_last_label_comes_first() -> None:
    lookups = plan_lookups(application="orders", profile="prod", label="main,feature/x,main")
    assert [lookup.label for lookup in lookups] == ["feature/x", "main"]
    assert [{key.label for key in lookup.keys} for lookup in lookups] == [{"feature/x"}, {"main"}]


@pytest.mark.parametrize(
    ("application", "profile", "label"),
    [("a,", "b", "c"), ("a", "b,,c", "c"), ("a", "b", ""), ("../a", "b", "c"), ("a", "b", "c,..")],
)
def test_bad_names_are_refused(application: str, profile: str, label: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        plan_lookups(application=application, profile=profile, label=label)
