"""Environment variables: what outranks what, and what properties become."""

import pytest
from made_properties import made

from pyfly.config_client import PropertyTypeError, apply_to_environ

# --- merging --------------------------------------------------------------------------


def test_arguments_outrank_the_environment_which_outranks_the_server_and_local_defaults() -> None:
    properties = made({"db.url": "server", "db.pool-size": 5, "hosts[0]": "s", "hosts[1]": "t"})
    merged = properties.merge_into(
        {"db": {"url": "local", "timeout": 3}, "list": ["l"], "only.local": True},
        arguments={"db.timeout": 9},
        environ={"DB_URL": "outside", "DB_TIMEOUT": "5", "HOSTS": "e,f", "PATH": "x"},
    )
    assert merged == {
        "db.url": "outside",
        "db.pool-size": 5,
        "db.timeout": 9,
        "only.local": True,
        "hosts": "e,f",
        "list[0]": "l",
    }
    assert str(merged.origin("db.url")) == "environment (DB_URL)"
    assert str(merged.origin("only.local")) == "local defaults"
    assert [one.source for one in merged.explain("db.timeout").losers] == [
        "environment",
        "local defaults",
    ]
    assert merged.get("hosts", list[str]) == ["e", "f"]
    assert merged.tree()["db"] == {"timeout": 9, "url": "outside", "pool-size": 5}
    assert properties["db.url"] == "server"


def test_variables_may_begin_with_a_prefix() -> None:
    merged = made({"user": "server"}).merge_into(environ={"USER": "me", "ORDERS_USER": "you"})
    assert merged["user"] == "me"
    merged = made({"user": "server"}).merge_into(
        environ={"USER": "me", "ORDERS_USER": "you"}, prefix="ORDERS_"
    )
    assert merged["user"] == "you"
    assert made({"user": "server"}).merge_into(environ={})["user"] == "server"


def test_placeholders_of_local_defaults_see_the_server() -> None:
    merged = made({"host": "server"}).merge_into({"url": "http://${host}"}, environ={})
    assert merged["url"] == "http://server"


# --- environment variables ------------------------------------------------------------


def test_properties_become_environment_variables() -> None:
    properties = made({"db.pool-size": 5, "flag": True, "hosts[0].name": "a"})
    assert apply_to_environ(properties, {}) == {
        "DB_POOL_SIZE": "5",
        "FLAG": "true",
        "HOSTS_0_NAME": "a",
    }
    environ = {"FLAG": "false"}
    assert apply_to_environ(properties, environ, prefix="X_") == {
        "X_DB_POOL_SIZE": "5",
        "X_FLAG": "true",
        "X_HOSTS_0_NAME": "a",
    }
    assert "FLAG" not in apply_to_environ(properties, environ)
    assert environ["FLAG"] == "false"
    apply_to_environ(properties, environ, overwrite=True)
    assert environ["FLAG"] == "true"


def test_names_that_collide_and_values_that_no_variable_holds_are_refused() -> None:
    with pytest.raises(PropertyTypeError, match=r"'a\.b' and 'a_b' would both be the variable A_B"):
        apply_to_environ(made({"a.b": "marker", "a_b": 1}), {})
    with pytest.raises(PropertyTypeError, match="contains a NUL"):
        apply_to_environ(made({"a": "marker\0"}), {})


def test_variables_that_are_set_under_another_name_stay() -> None:
    properties = made({"db.pool-size": 5, "db.poolMax": 6, "db.pool.max": 7, "db.url": "u"})
    assert apply_to_environ(properties, {"DB_POOLSIZE": "1"}) == {
        "DB_POOLMAX": "6",
        "DB_POOL_MAX": "7",
        "DB_URL": "u",
    }
    assert apply_to_environ(properties, {"DB_POOL_SIZE": "1"}, overwrite=True) == {
        "DB_POOL_SIZE": "5",
        "DB_POOLMAX": "6",
        "DB_POOL_MAX": "7",
        "DB_URL": "u",
    }


def test_a_variable_that_cannot_be_resolved_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert apply_to_environ(made({"user": "${user}", "a": 1}), {}) == {"A": "1"}
    assert "'user' cannot be resolved" in caplog.text
    assert "left out" in caplog.text


# --- spellings of variables -----------------------------------------------------------


def test_both_names_of_a_variable_are_read_and_springs_wins() -> None:
    properties = made({"db.pool-size": 5, "db.maxWait": 1, "db.pool.max": 2, "db.pool-max": 3})
    merged = properties.merge_into(
        environ={
            "DB_POOL_SIZE": "55",
            "DB_MAX_WAIT": "6",
            "DB_MAXWAIT": "7",
            "DB_POOL_MAX": "8",
        }
    )
    assert merged == {
        "db.pool-size": "55",
        "db.maxWait": "7",
        "db.pool.max": "8",
        "db.pool-max": 3,
    }
    assert str(merged.origin("db.pool-size")) == "environment (DB_POOL_SIZE)"


def test_variables_replace_and_extend_lists() -> None:
    properties = made({"hosts[0]": "a", "hosts[1]": "b", "dbs[0].url": "u", "dbs[0].pool-size": 1})
    merged = properties.merge_into(
        environ={"HOSTS_0": "x", "DBS_0_URL": "v", "DBS_1_POOL_SIZE": "2", "DBS_3_URL": "far"}
    )
    assert merged.tree() == {"hosts": ["x"], "dbs": [{"url": "v"}, {"pool-size": "2"}]}
    merged = properties.merge_into(environ={"HOSTS_1": "y"})
    with pytest.raises(PropertyTypeError, match=r"an element \[1\], but no element \[0\]"):
        merged.get("hosts", list[str])
    assert properties.merge_into(environ={"hosts": "c,d"}).get("hosts", list[str]) == ["c", "d"]


def test_a_section_merges_by_its_own_names() -> None:
    section = made({"db.pool-size": 5, "x.url": "n"}, {"db.url": "u"}).section("db")
    merged = section.merge_into({"url": "local", "user": "me"}, environ={"POOL_SIZE": "7"})
    assert merged == {"pool-size": "7", "url": "u", "user": "me"}
