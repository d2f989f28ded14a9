"""Dumps of database servers, as the guide for backups makes and restores them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

pytestmark = [pytest.mark.anyio, pytest.mark.external, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_dump_of_postgresql_is_restored(
    tcp_postgres: Any, checkout: Path, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None:
        reason = "needs pg_dump: apt-get install postgresql"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    old, new = tcp_postgres.database("dumped"), tcp_postgres.database("restored")
    source = ConfigSource(application="orders", profile="prod", properties={"a": ["ü", 1]})
    backend = SqlConfigBackend.from_url(old)
    await backend.upgrade()
    await backend.save(source)
    await backend.aclose()
    page = (checkout / "docs/guides/back-up.md").read_text(encoding="utf-8")
    section = page.partition("## PostgreSQL\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\$ (.*)$", section, re.MULTILINE):
        command = str(line).replace("config.dump", f"{tmp_path}/config.dump")
        command = command.replace("NEW-DATABASE-URL", new).replace("DATABASE-URL", old)
        done = subprocess.run(
            shlex.split(command), capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
    restored = SqlConfigBackend.from_url(new)
    found = await restored.fetch("orders", "prod")
    await restored.aclose()
    assert found is not None
    assert found.properties == source.properties
