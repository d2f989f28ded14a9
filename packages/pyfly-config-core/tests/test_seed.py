"""The public promise of the project, as it was first written down."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_seed_works_verbatim(tmp_path: Path) -> None:
    root = tmp_path
    # fmt: off
    from pyfly.config_server import ConfigSource, ConfigBackend, ConfigServer, InMemoryConfigBackend, FilesystemConfigBackend  # noqa: PLC0415, I001, E501
    source = ConfigSource(application="orders", profile="prod", label="main", properties={"db.url": "..."})   # label defaults to "main"  # noqa: E501
    is_backend = isinstance(InMemoryConfigBackend(), ConfigBackend)            # runtime_checkable Protocol: fetch, save, list  # noqa: E501
    server = ConfigServer(FilesystemConfigBackend(root))          # base_path defaults to "/config"
    await server.save("orders", "prod", {"db.url": "postgres://..."})
    bundle = await server.fetch("orders", "prod")                 # {name, profiles, label, propertySources: [...]} and version, state  # noqa: E501
    all_sources = await server.list()
    from pyfly.config_server import ConfigClient  # when the client is installed  # noqa: PLC0415
    client = ConfigClient(server_url="http://config:8888", application="orders", profile="prod")
    # fmt: on

    assert ConfigSource(application="orders", profile="prod", properties={}).label == "main"
    assert source.label == "main"
    assert is_backend
    assert server.base_path == "/config"
    assert bundle == {
        "name": "orders",
        "profiles": ["prod"],
        "label": "main",
        "version": None,
        "state": None,
        "propertySources": [
            {"name": "main/orders-prod.yaml", "source": {"db.url": "postgres://..."}}
        ],
    }
    (stored,) = all_sources
    assert (stored.application, stored.profile, stored.label) == ("orders", "prod", "main")
    assert stored.properties == {"db.url": "postgres://..."}
    assert (root / "main" / "orders-prod.yaml").read_text("utf-8") == "db.url: postgres://...\n"
    assert client is not None


class ThreeMethods:
    """A store by somebody else, who read nothing but the Protocol."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], Any] = {}

    async def fetch(self, application: str, profile: str, label: str = "main") -> Any:
        return self.kept.get((application, profile, label))

    async def save(self, source: Any) -> None:
        self.kept[source.application, source.profile, source.label] = source

    async def list(self) -> list[Any]:
        return [*self.kept.values()]


async def test_three_methods_make_a_complete_backend() -> None:
    from pyfly.config_server import ConfigBackend, ConfigServer  # noqa: PLC0415

    backend = ThreeMethods()
    assert isinstance(backend, ConfigBackend)
    server = ConfigServer(backend)
    await server.save("orders", "prod", {"a": {"b": [1]}})
    await server.save("application", "default", {"a": 0}, "feature/x")
    assert (await server.fetch("orders", "prod"))["propertySources"] == [
        {"name": "main/orders-prod", "source": {"a.b[0]": 1}}
    ]
    assert (await server.fetch("orders", "prod", "feature/x"))["propertySources"] == [
        {"name": "feature/x/application-default", "source": {"a": 0}}
    ]
    assert (await server.fetch("orders", "prod", "any"))["propertySources"] == []
    assert len(await server.list()) == 2
    await server.check()
    await server.aclose()
