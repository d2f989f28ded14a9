"""Dumps of database servers, as the guide for backups makes and restores them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

pytestmark = [pytest.mark.anyio, pytest.mark.external, pytest.mark.slow]


SOURCE = ConfigSource(application="orders", profile="prod", properties={"a": ["ü", 1], "b": "\\"})


async def fill(url: str) -> None:
    """Store two versions of a bundle."""
    backend = SqlConfigBackend.from_url(url)
    await backend.upgrade()
    await backend.save(ConfigSource(application="orders", profile="prod", properties={"a": 0}))
    await backend.save(SOURCE)
    await backend.aclose()


async def check_restored(url: str) -> None:
    """Check that both versions are there, and that a further one can be stored."""
    backend = SqlConfigBackend.from_url(url)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == SOURCE.properties
    assert len(await backend.history(found.key)) == 2
    await backend.save(SOURCE)
    assert len(await backend.history(found.key)) == 3
    await backend.aclose()


def commands_of(checkout: Path, section: str) -> list[str]:
    """Return the commands of a section of the guide."""
    page = (checkout / "docs/guides/back-up.md").read_text(encoding="utf-8")
    text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    assert lines
    return lines


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


async def test_a_dump_of_postgresql_is_restored(
    tcp_postgres: Any, checkout: Path, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None:
        reason = "needs pg_dump: apt-get install postgresql"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    old, new = tcp_postgres.database("dumped"), tcp_postgres.database("restored")
    await fill(old)
    for line in commands_of(checkout, "PostgreSQL"):
        command = line.replace("config.dump", f"{tmp_path}/config.dump")
        command = command.replace("NEW-DATABASE-URL", new).replace("DATABASE-URL", old)
        run(*shlex.split(command))
    await check_restored(new)


async def test_a_dump_of_mariadb_is_restored(mariadb: Any, checkout: Path, tmp_path: Path) -> None:
    old, new = mariadb.database("dumped"), mariadb.database("restored")
    await fill(old)
    place, options = urlsplit(old), tmp_path / "client.cnf"
    options.write_text(
        f"[client]\nuser={place.username}\npassword='{unquote(place.password or '')}'\n"
        f"host={place.hostname}\nport={place.port}\n",
        encoding="utf-8",
    )
    options.chmod(0o600)
    for command in commands_of(checkout, "MySQL and MariaDB"):
        program, _, rest = command.partition(" ")
        rest = rest.replace("config.sql", f"{tmp_path}/config.sql").replace(" config ", " dumped ")
        run("sh", "-c", f"{program} --defaults-file={options} {rest}")
    await check_restored(new)
