"""Rules and the decision about a right."""

from typing import Any

import pytest

from pyfly.config_core import ConfigKey, InvalidConfigKeyError
from pyfly.config_server.access import (
    ANONYMOUS,
    SERVER,
    BundlePattern,
    OpenedFile,
    PathPattern,
    Principal,
    Right,
    Rule,
    Target,
    decide,
    parse_target,
)


def key(text: str) -> ConfigKey:
    target = parse_target(Right.READ, text)
    assert isinstance(target, ConfigKey)
    return target


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("orders/prod/main", ["orders/prod/main"], ["orders/prod/mains", "Orders/prod/main"]),
        (
            "orders/*/*",
            ["orders/prod/main", "orders/-/main", "orders/prod/feature/x"],
            ["orders-service/prod/main", "order/prod/main", "team(_)orders/prod/main"],
        ),
        ("orders*/*/*", ["orders/a/b", "orders-eu/a/b", "orders(_)eu/a/b"], ["xorders/a/b"]),
        ("*/prod/main", ["orders/prod/main", "application/prod/main"], ["orders/-/main"]),
        ("orders/-/*", ["orders/-/main"], ["orders/default/main", "orders/prod/main"]),
        ("orders/prod*/main", ["orders/prod/main", "orders/prod-eu/main"], ["orders/-/main"]),
        ("orders/*/release/*", ["orders/a/release/1", "orders/a/release/1/x"], ["orders/a/main"]),
        ("orders/*/release(_)*", ["orders/a/release/1"], ["orders/a/release"]),
        ("team(_)*/a/main", ["team(_)orders/a/main"], ["team/a/main", "orders/a/main"]),
        ("*a*b*/p/l", ["xaxbx/p/l", "ab/p/l"], ["ba/p/l"]),
    ],
)
def test_a_pattern_of_bundles(pattern: str, matching: list[str], others: list[str]) -> None:
    found = BundlePattern(pattern)
    assert [one for one in matching if not found.matches(key(one))] == []
    assert [one for one in others if found.matches(key(one))] == []
    assert BundlePattern(str(found)) == found


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "orders", "orders/prod", "orders//main", "orders/prod/", "/prod/main", "a b/p/l"),
        *("ä/p/l", "orders/**/main", "or..ders/p/l", "orders/.a/l", "orders/p/l/", "orders/p,q/l"),
        *("o/[ab]/l", "-a/p/l", "orders/-a/l", "orders/prod/{x}"),
        *("a" * 129 + "/p/l", "a/" + "p" * 65 + "/l"),
    ],
)
def test_a_pattern_of_bundles_that_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        BundlePattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("nginx.conf", ["nginx.conf"], ["a/nginx.conf", "nginx.conf/a", "nginxxconf"]),
        ("*", ["a", "a.b"], ["a/b"]),
        ("**", ["a", "a/b", "a/b/c"], []),
        ("orders/**", ["orders/a", "orders/a/b"], ["orders", "ordersa", "x/orders/a"]),
        ("orders/*", ["orders/a"], ["orders/a/b", "orders"]),
        ("**/ca.pem", ["ca.pem", "a/ca.pem", "a/b/ca.pem"], ["a/xca.pem", "ca.pem/a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/z/z"], ["a", "a/z/b", "b/z"]),
        ("a/**/b/**", ["a/b/c", "a/x/b/y", "a/b/b/b"], ["a/b", "a/x/b"]),
        ("orders-*.conf", ["orders-dev.conf"], ["orders-a/b.conf", "orders.conf"]),
    ],
)
def test_a_pattern_of_paths(pattern: str, matching: list[str], others: list[str]) -> None:
    found = PathPattern(pattern)
    assert [one for one in matching if not found.matches(one)] == []
    assert [one for one in others if found.matches(one)] == []


@pytest.mark.parametrize(
    "pattern",
    ["", "/a", "a/", "a//b", "../a", "a/..", ".git/*", "a**", "**/**", "a/**b", "a\\b", "ä"],
)
def test_a_pattern_of_paths_that_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        PathPattern(pattern)


def test_patterns_take_linear_time() -> None:
    assert not PathPattern("/".join(["**", "a"] * 200)).matches("/".join(["a"] * 400 + ["b"]))
    assert not BundlePattern("a*" * 60 + "b/*/*").matches(key("a" * 128 + "/p/l"))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rights": [], "on": "*/*/*"}, "gives no right"),
        ({"rights": ["raed"], "on": "*/*/*"}, "unknown right 'raed'; the rights are read, files"),
        ({"rights": ["files"], "on": "*/*/*"}, "together with a pattern of paths"),
        ({"rights": ["read"], "on": "*/*/*", "files": "**"}, "together with a pattern of paths"),
        ({"rights": ["decrypt"], "on": "orders/*/*"}, "'decrypt' is one on the whole server"),
        ({"rights": ["operate"], "on": "*/*/main"}, "'operate' is one on the whole server"),
    ],
)
def test_a_rule_that_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule.parse(**rule)


RULES = (
    Rule.parse(rights=["read"], on="orders/*/*"),
    Rule.parse(rights=["inspect", "write"], on="orders/dev/main"),
    Rule.parse(rights=["files"], on="orders/*/main", files="orders/**"),
    Rule.parse(rights=["encrypt"], on="*/*/*"),
)


@pytest.mark.parametrize(
    ("right", "target", "by"),
    [
        (Right.READ, "orders/prod/feature/x", 0),
        (Right.READ, "billing/prod/main", None),
        (Right.WRITE, "orders/dev/main", 1),
        (Right.WRITE, "orders/prod/main", None),
        (Right.WRITE, "application/dev/main", None),
        (Right.INSPECT, "orders/-/main", None),
        (Right.FILES, "main/orders/a.conf", 2),
        (Right.FILES, "other/orders/a.conf", None),
        (Right.FILES, "main/billing/a.conf", None),
        (Right.ENCRYPT, "*", 3),
        (Right.DECRYPT, "*", None),
        (Right.OPERATE, "*", None),
    ],
)
def test_the_first_rule_that_gives_a_right_decides(
    right: Right, target: str, by: int | None
) -> None:
    decision = decide(RULES, right, parse_target(right, target))
    assert decision.rule is (None if by is None else RULES[by])
    assert decision.is_allowed is (by is not None)


def test_a_decision_explains_itself() -> None:
    assert str(decide(RULES, Right.READ, key("orders/prod/main"))) == (
        "the rule 'read on orders/*/*' gives the right 'read' on orders/prod/main"
    )
    opened = OpenedFile(label="feature/x", path="orders/a.conf")
    assert str(decide(RULES, Right.FILES, opened)) == (
        "no rule gives the right 'files' on feature(_)x/orders/a.conf"
    )
    assert str(RULES[2]) == "files on orders/*/main, files orders/**"


@pytest.mark.parametrize("target", [key("a/b/c"), OpenedFile(label="a", path="b"), SERVER])
def test_without_rules_nothing_is_allowed(target: Target) -> None:
    nobody = Principal(name="nobody")
    assert not any(nobody.may(right, target) or nobody.has(right) for right in Right)


@pytest.mark.parametrize("target", [key("a/b/c"), OpenedFile(label="a", path="b"), SERVER])
def test_a_right_is_given_on_one_kind_of_target_only(target: Target) -> None:
    everything = Rule.everything()
    given = {right for right in Right if everything.gives(right, target)}
    kinds = {
        ConfigKey: {Right.READ, Right.INSPECT, Right.WRITE},
        OpenedFile: {Right.FILES},
        type(SERVER): {Right.ENCRYPT, Right.DECRYPT, Right.OPERATE},
    }
    assert given == kinds[type(target)]


def test_anonymous_may_do_everything_but_write() -> None:
    assert [right for right in Right if not ANONYMOUS.has(right)] == [Right.WRITE]


@pytest.mark.parametrize(
    ("right", "text"),
    [(Right.READ, "orders/prod"), (Right.FILES, "main"), (Right.OPERATE, "orders/prod/main")],
)
def test_a_target_in_another_form_is_refused(right: Right, text: str) -> None:
    with pytest.raises(ValueError, match=r"right on the whole|such as"):
        parse_target(right, text)


@pytest.mark.parametrize("text", ["orders/*/main", "or ders/prod/main", "orders/prod/"])
def test_a_target_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        parse_target(Right.READ, text)
