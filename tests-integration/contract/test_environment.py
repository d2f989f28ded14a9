"""Cases 1 to 34 of docs/reference/protocol.md, as far as they concern the document itself."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import InMemoryConfigBackend

pytestmark = pytest.mark.anyio

ORDERS_PROD = ["orders-prod", "application-prod", "orders-default", "application-default"]
SHARED_PROD = ["application-prod", "application-default"]


@pytest.mark.case(1)
async def test_the_default_profile_gives_the_default_sources(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/default")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.names == ["orders-default", "application-default"]
    assert {k: answer.json[k] for k in ("name", "label", "version", "state")} == {
        "name": "orders",
        "label": None,
        "version": None,
        "state": None,
    }
    assert list(answer.json["propertySources"][0]["source"].items()) == [("who", "orders-default")]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        pytest.param("orders/prod", ORDERS_PROD, marks=pytest.mark.case(2)),
        pytest.param(
            "orders/prod,eu",
            ["orders-eu", "application-eu", *ORDERS_PROD],
            marks=pytest.mark.case(3),
        ),
        pytest.param(
            "orders/eu,prod",
            [*ORDERS_PROD[:2], "orders-eu", "application-eu", *ORDERS_PROD[2:]],
            marks=pytest.mark.case(4),
        ),
        pytest.param("orders/prod,prod", ORDERS_PROD, marks=pytest.mark.case(5)),
        pytest.param("application/prod", SHARED_PROD, marks=pytest.mark.case(6)),
        pytest.param("nosuch/prod", SHARED_PROD, marks=pytest.mark.case(7)),
        pytest.param(
            "orders,billing/prod",
            [
                "billing-prod",
                "orders-prod",
                "application-prod",
                "billing-default",
                "orders-default",
                "application-default",
            ],
            marks=pytest.mark.case(17),
        ),
        pytest.param(
            "orders/dev-yml",
            ["orders-default", "application-default"],
            marks=pytest.mark.case(18),
        ),
    ],
)
async def test_the_sources_come_in_the_order_of_the_contract(
    fx_a: None, ask: Any, path: str, names: list[str]
) -> None:
    answer = await ask(f"/config/{path}")
    assert (answer.status, answer.names) == (200, names)
    name, profiles = path.split("/")
    assert (answer.json["name"], answer.json["profiles"]) == (name, [profiles])


@pytest.mark.case(8)
async def test_a_label_without_bundles_gives_an_empty_list(root: Path, ask: Any) -> None:
    (root / "bare").mkdir()
    answer = await ask("/config/orders/prod/bare")
    assert (answer.status, answer.json["propertySources"]) == (200, [])


@pytest.mark.case(10)
async def test_an_unknown_label_is_not_found(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/prod/nolabel")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["status"] == 404
    assert answer.json["error"] == "Not Found"
    assert answer.json["path"] == "/config/orders/prod/nolabel"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", answer.json["timestamp"])


@pytest.mark.case(11)
async def test_the_default_label_may_be_named(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/prod/main")
    assert (answer.json["label"], answer.names) == ("main", ORDERS_PROD)


@pytest.mark.case(12, 13)
@pytest.mark.parametrize("label", ["feature(_)x", "feature%28_%29x", "feature%2Fx", "feature%2fx"])
async def test_a_label_with_a_slash_is_escaped(fx_a: None, ask: Any, label: str) -> None:
    answer = await ask(f"/config/orders/default/{label}")
    assert (answer.status, answer.json["label"]) == (200, "feature/x")
    (source,) = answer.json["propertySources"]
    assert source == {"name": "feature/x/orders-default.yaml", "source": {"who": "feature"}}


@pytest.mark.case(14)
async def test_a_label_may_contain_dots(write: Callable[[str, str], Path], ask: Any) -> None:
    write("1.0.0/orders-default.yaml", "a: 1\n")
    assert (await ask("/config/orders/default/1.0.0")).status == 200


@pytest.mark.case(15)
async def test_of_several_labels_the_last_wins(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/default/main,rel")
    assert [s["name"] for s in answer.json["propertySources"]] == [
        "rel/orders-default.yaml",
        "main/orders-default.yaml",
        "main/application-default.yaml",
    ]
    assert answer.json["label"] == "main,rel"


async def test_one_unknown_label_of_several_is_not_found(fx_a: None, ask: Any) -> None:
    assert (await ask("/config/orders/default/main,nolabel")).status == 404


@pytest.mark.case(19, 20, 21)
@pytest.mark.parametrize(
    "path", ["orders/dev.yml", "main/orders.yml", "orders", "orders/prod/", "", "/orders/prod"]
)
async def test_what_is_no_route_never_reaches_the_store(serve: Any, path: str) -> None:
    backend = InMemoryConfigBackend()
    await backend.aclose()  # from here on every access raises
    answer = await serve(backend)(f"/config/{path}")
    assert answer.status == 404
    assert answer.json["status"] == 404


@pytest.mark.case(22)
@pytest.mark.parametrize("profiles", ["a,,b", "a,", "a%20b", "-a", "a!"])
async def test_bad_profiles_are_refused(fx_a: None, ask: Any, profiles: str) -> None:
    answer = await ask(f"/config/orders/{profiles}")
    assert (answer.status, answer.json["status"]) == (400, 400)


@pytest.mark.case(23)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(fx_a: None, ask: Any, method: str) -> None:
    answer = await ask("/config/orders/prod", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.case(23)
async def test_head_answers_like_get_without_a_body(fx_a: None, ask: Any) -> None:
    get = await ask("/config/orders/prod")
    head = await ask("/config/orders/prod", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers
    assert int(head.headers["content-length"]) == len(get.body)


async def test_options_lists_the_methods(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/prod", method="OPTIONS")
    assert (answer.status, answer.headers["allow"]) == (200, "GET, HEAD, OPTIONS")


@pytest.mark.case(24)
async def test_a_missing_default_label_is_not_found(
    write: Callable[[str, str], Path], ask: Any
) -> None:
    write("other/orders-default.yaml", "a: 1\n")
    assert (await ask("/config/orders/prod")).status == 404


@pytest.mark.case(25)
async def test_a_broken_file_breaks_only_its_own_requests(
    fx_a: None, write: Callable[[str, str], Path], ask: Any
) -> None:
    write("main/orders-default.yaml", "user: marker-user\npassword: [marker\n")
    broken = await ask("/config/orders/default")
    assert broken.status == 500
    assert broken.headers["content-type"] == "application/json"
    assert b"marker" not in broken.body
    assert "main/orders-default.yaml" in broken.json["message"]
    assert "line 3" in broken.json["message"]
    assert (await ask("/config/billing/default")).status == 200


@pytest.mark.case(26)
async def test_a_duplicate_key_is_an_error(
    fx_a: None, write: Callable[[str, str], Path], ask: Any
) -> None:
    write("main/orders-default.yaml", "a: 1\nb: 2\na: 3\n")
    assert (await ask("/config/orders/default")).status == 500


@pytest.mark.case(27)
async def test_of_two_formats_yaml_is_used_and_the_other_reported(
    fx_a: None,
    write: Callable[[str, str], Path],
    ask: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write("main/orders-prod.yml", "who: shadowed\n")
    answer = await ask("/config/orders/prod")
    assert answer.names == ORDERS_PROD
    assert answer.json["propertySources"][0]["source"] == {"who": "orders-prod"}
    assert "main/orders-prod.yaml is used; ignored: orders-prod.yml" in caplog.text


@pytest.mark.case(29)
async def test_an_empty_file_is_an_empty_source(
    fx_a: None, write: Callable[[str, str], Path], ask: Any
) -> None:
    write("main/orders-prod.yaml", "")
    answer = await ask("/config/orders/prod")
    assert answer.names == ORDERS_PROD
    assert answer.json["propertySources"][0]["source"] == {}


@pytest.mark.case(54)
async def test_placeholders_stay_as_they_are(write: Callable[[str, str], Path], ask: Any) -> None:
    write("main/orders-default.yaml", "a: ${HOME}\nb: 'x${c:d}'\n")
    answer = await ask("/config/orders/default")
    assert answer.json["propertySources"][0]["source"] == {"a": "${HOME}", "b": "x${c:d}"}


@pytest.mark.case(55)
async def test_names_are_unique_and_tell_profiles_apart(
    fx_a: None, write: Callable[[str, str], Path], root: Path, ask: Any
) -> None:
    write("release-prod/orders-default.yaml", "a: 1\n")
    write("release-prod/orders-prod.yaml", "a: 1\n")
    for label in ("main", "main,release-prod"):
        answer = await ask(f"/config/orders/prod/{label}")
        names = [s["name"] for s in answer.json["propertySources"]]
        assert len(names) == len(set(names))
        assert not any(str(root) in name or name.startswith("/") for name in names)
        for name in names:
            is_profile = bool(re.fullmatch(r".*[-,]prod\b.*", f"configserver:{name}"))
            assert is_profile == ("-prod.yaml" in name), name


@pytest.mark.case(34)
async def test_the_state_header_is_ignored(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/prod", headers={"X-Config-State": "anything"})
    assert (answer.status, answer.json["state"]) == (200, None)


@pytest.mark.case("S14")
async def test_imports_are_not_followed(
    write: Callable[[str, str], Path], tmp_path: Path, ask: Any
) -> None:
    (tmp_path / "marker.yaml").write_text("secret: marker-text\n", encoding="utf-8")
    write("main/orders-default.yaml", f"spring.config.import: file:{tmp_path}/marker.yaml\n")
    answer = await ask("/config/orders/default")
    assert answer.status == 200
    assert b"marker-text" not in answer.body


async def test_the_retired_key_is_left_out_and_reported(
    write: Callable[[str, str], Path], ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write("main/orders-default.yaml", "spring: {profiles: [a], profiles.active: b}\n")
    answer = await ask("/config/orders/default")
    assert answer.json["propertySources"][0]["source"] == {"spring.profiles.active": "b"}
    assert "spring.profiles[0]" in caplog.text


async def test_a_vanished_root_is_unavailable_not_empty(fx_a: None, root: Path, ask: Any) -> None:
    root.rename(root.with_name("elsewhere"))
    answer = await ask("/config/orders/prod")
    assert answer.status == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "root" in answer.json["message"]
