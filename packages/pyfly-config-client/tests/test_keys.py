"""Keys that a client asks for."""

from typing import Any

import pytest

from pyfly.config_client import ConfigClientError, SyncConfigClient


def test_keys_are_part_of_the_address_and_of_the_identity(
    holding_server: Any, tmp_path: Any
) -> None:
    names: Any = {"server_url": holding_server.url, "application": "orders", "profile": "prod"}
    names |= {"snapshot_dir": tmp_path / "state"}
    some = SyncConfigClient(**names, keys=["feature.*", "db", "db", "labels[a/b]"])
    assert some.fetch() == {"a": 0}
    path = holding_server.requests[0]["path"]
    assert path == "/config/orders/prod?keys=db,feature.*,labels%5Ba%2Fb%5D"
    SyncConfigClient(**names, keys="feature.*,db").fetch()
    assert holding_server.requests[1]["path"] == "/config/orders/prod?keys=feature.*,db"
    holding_server.stop()
    offline: Any = names | {"policy": "offline"}
    same = SyncConfigClient(**offline, keys=("labels[a/b]", "db", "feature.*"))
    assert same.fetch().from_snapshot, "the order does not count"
    with pytest.raises(ConfigClientError, match="no snapshot"):
        SyncConfigClient(**offline).fetch()


@pytest.mark.parametrize("keys", ["", [], ["db", ""], " "])
def test_keys_without_a_name_are_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="keys must not be empty"):
        SyncConfigClient(server_url="http://config", application="orders", keys=keys)
