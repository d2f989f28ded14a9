"""Two clients from npm: they encode everything, `prod%2Ceu` and `feature%2Fx`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.external

CLOUD_CONFIG_CLIENT = """
require('cloud-config-client').load(JSON.parse(process.argv[1])).then(
  (found) => console.log(JSON.stringify([found.raw, found.properties, found.toObject()])),
  (error) => console.log(JSON.stringify(error.message)))
"""

SPRING_CLOUD_CONFIG = """
const [directory, ...activeProfiles] = process.argv.slice(1);
require('spring-cloud-config').load({configPath: directory, activeProfiles, level: 'error'}).then(
  (found) => console.log(JSON.stringify(found)))
"""

Load = Callable[..., Any]


@pytest.fixture(scope="module")
def load(node_reader: Callable[..., Any]) -> Load:
    """Load with `cloud-config-client` and its options."""
    run = node_reader(CLOUD_CONFIG_CLIENT)
    return lambda **options: run(json.dumps(options))


@pytest.fixture
def load_with_files(node_reader: Callable[..., Any], tmp_path: Path) -> Load:
    """Load with `spring-cloud-config`, which reads its options from a `bootstrap.yml`."""
    run = node_reader(SPRING_CLOUD_CONFIG)

    def with_options(*profiles: str, **options: Any) -> Any:
        bootstrap = {
            "spring": {"cloud": {"config": {"enabled": True, "fail-fast": True} | options}}
        }
        (tmp_path / "bootstrap.yml").write_text(json.dumps(bootstrap), encoding="utf-8")
        (tmp_path / "application.yml").write_text("of: this service", encoding="utf-8")
        return run(str(tmp_path), *profiles)

    return with_options


def options(server: Any, **more: Any) -> dict[str, Any]:
    credential = {"user": "reader", "pass": "open sesame"}
    return {"endpoint": f"{server.url}/config", "name": "orders", "auth": credential, **more}


def test_cloud_config_client_reads_two_profiles(
    guarded: Any, load: Load, flat: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    for label in ({}, {"label": "main"}):
        document, properties, tree = load(**options(guarded, profiles=["prod", "eu"], **label))
        assert (document["profiles"], document["label"]) == (["prod,eu"], label.get("label"))
        assert properties == flat(orders_in_the_eu)
        assert tree == orders_in_the_eu


def test_cloud_config_client_reads_a_label_with_a_slash(guarded: Any, load: Load) -> None:
    document, properties, _ = load(**options(guarded, label="feature/x"))
    assert (document["label"], properties) == ("feature/x", {"who": "feature"})


def test_cloud_config_client_replaces_a_list_whole(guarded: Any, load: Load) -> None:
    _, _, tree = load(**options(guarded, profiles="dev"))
    assert tree["orders"]["payment-methods"] == ["test-card"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"label": "nolabel"}, 404), ({"auth": {"user": "reader", "pass": "x"}}, 401)],
)
def test_cloud_config_client_is_told_what_cannot_be_had(
    guarded: Any, load: Load, wrong: dict[str, Any], status: int
) -> None:
    assert load(**options(guarded) | wrong) == f"Invalid response: {status}"


def test_spring_cloud_config_reads_two_profiles(
    guarded: Any, load_with_files: Load, flat: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    found = load_with_files("prod", "eu", **options(guarded, label="main"))
    del found["spring"]
    assert flat(found) == flat(orders_in_the_eu) | {"of": "this service"}


def test_spring_cloud_config_reads_a_label_with_a_slash(
    guarded: Any, load_with_files: Load
) -> None:
    assert load_with_files("dev", **options(guarded, label="feature/x"))["who"] == "feature"
