"""The page on the settings of Spring names every one of the reference server."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.external

PREFIX = "spring.cloud.config.server."
LIBRARY = re.compile(r"BOOT-INF/lib/spring-cloud-config-server-[\d.]+\.jar")


def settings_of(program: Path) -> Iterator[str]:
    """Yield the names that the server of Spring declares, without their common beginning."""
    with zipfile.ZipFile(program) as outer:
        (library,) = filter(LIBRARY.fullmatch, outer.namelist())
        with zipfile.ZipFile(io.BytesIO(outer.read(library))) as inner:
            metadata = json.loads(inner.read("META-INF/spring-configuration-metadata.json"))
    for item in metadata["properties"]:
        assert item["name"].startswith(PREFIX)
        yield item["name"].removeprefix(PREFIX)


def test_every_setting_is_in_a_table_of_the_page(jar: Callable[..., Path], checkout: Path) -> None:
    page = (checkout / "docs/reference/spring-settings.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| (.*?) \| ", page, re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    groups = tuple(name.removesuffix("*") for name in named if name.endswith(".*"))
    declared = [*settings_of(jar("reference-server"))]
    assert len(declared) > 100
    missing = [one for one in declared if one not in named and not one.startswith(groups)]
    assert not missing, f"docs/reference/spring-settings.md does not name {missing}"
