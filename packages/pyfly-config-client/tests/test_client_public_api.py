import subprocess
import sys
from types import ModuleType

import pyfly.config_client


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_client.__all__
    assert listed == sorted(listed)
    public = {
        name
        for name, value in vars(pyfly.config_client).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)


def test_importing_the_client_loads_nothing_heavy() -> None:
    script = """
import sys
import pyfly.config_client
print(*{"httpx", "yaml", "asyncio", "ssl", "pyfly.config_server"} & sys.modules.keys())
pyfly.config_client.ConfigClient(server_url="http://config", application="orders")
print(*{"httpx", "yaml", "asyncio", "ssl", "pyfly.config_server"} & sys.modules.keys())
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout.split() == []
