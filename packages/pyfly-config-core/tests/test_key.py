import pytest

from pyfly.config_core import (
    ConfigKey,
    InvalidConfigKeyError,
    check_name,
    check_not_reserved,
    check_profile,
    decode_slashes,
    encode_slashes,
    split_names,
    split_profiles,
)


@pytest.mark.parametrize(
    "text",
    ["orders", "o", "_x", "a.b", "a_b", "a@b", "a+b", "a-b", "1.0.0", "feature/x", "a" * 128],
)
def test_a_good_name_is_accepted(text: str) -> None:
    check_name("label", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        ".",
        ".git",
        "a..b",
        "-a",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "a b",
        "a\n",
        "a\x00",
        "a%2e",
        "a\\b",
        "a:b",
        "a;b",
        "a#b",
        "a?b",
        "a*",
        "{a}",
        "$a",
        "~a",
        "(_)a",
        "ä",
        "．．",
        "a,b",
        "a" * 129,
    ],
)
def test_a_bad_name_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(InvalidConfigKeyError) as caught:
        check_name("label", text)
    assert (caught.value.field, caught.value.value) == ("label", text)
    assert str(caught.value).startswith("label ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["prod", "a", "a-b", "a.b_c+d@e", "dev.yml", "1.0", "p" * 64])
def test_a_good_profile_is_accepted(text: str) -> None:
    check_profile(text)


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", ".a", "a.", "_a", "a!", "a b", "a..b", "a/b", "(_)", "a\n", "p" * 65]
)
def test_a_bad_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        check_profile(text)


def test_lists_keep_their_order_and_drop_repetitions() -> None:
    assert split_names("application", "b,a,b") == ("b", "a")
    assert split_profiles("prod,eu,prod") == ("prod", "eu")


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,,b", "a, b", ",".join("a" * 33)])
def test_a_list_with_an_empty_element_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        split_names("label", text)
    with pytest.raises(InvalidConfigKeyError):
        split_profiles(text)


def test_a_key_is_valid_or_does_not_exist() -> None:
    key = ConfigKey(application="orders", profile="prod")
    assert (key.label, str(key)) == ("main", "orders/prod/main")
    for wrong in ({"application": "../x"}, {"profile": ""}, {"label": "a//b"}):
        with pytest.raises(InvalidConfigKeyError):
            ConfigKey(**({"application": "a", "profile": "b"} | wrong))


@pytest.mark.parametrize("application", ["encrypt", "decrypt", "key", "actuator", "monitor", "_x"])
def test_names_of_routes_are_not_stored(application: str) -> None:
    with pytest.raises(InvalidConfigKeyError, match="reserved"):
        check_not_reserved(ConfigKey(application=application, profile="a"))


def test_a_label_does_not_begin_with_an_underscore_when_stored() -> None:
    with pytest.raises(InvalidConfigKeyError, match="reserved"):
        check_not_reserved(ConfigKey(application="a", profile="a", label="_l"))
    check_not_reserved(ConfigKey(application="a_b", profile="a", label="keys"))


def test_slashes_travel_in_disguise() -> None:
    assert encode_slashes("feature/x/y") == "feature(_)x(_)y"
    assert decode_slashes("feature(_)x(_)y") == "feature/x/y"
