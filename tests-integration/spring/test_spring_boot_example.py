"""The service of docs/guides/spring-boot.md shows what the page shows."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from pages import blocks_of
from session import commands_of

SECONDS = 120
pytestmark = [pytest.mark.external, pytest.mark.slow, pytest.mark.untraced]


@pytest.fixture
def shown(checkout: Path) -> Sequence[str]:
    """What the commands of the last session of the page print."""
    *_, block = [
        block
        for block in blocks_of(checkout / "docs" / "guides" / "spring-boot.md")
        if block.language == "console"
    ]
    return [text.strip() for _, text in commands_of(block.text)][1:]


def test_the_service_of_the_page_takes_over_a_change(
    shown: Sequence[str],
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    start_server: Callable[..., Any],
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examples = checkout / "docs" / "examples"
    store = shutil.copytree(examples / "config", tmp_path / "config")
    program = jar("spring-boot", root=examples)
    monkeypatch.setenv("CONFIG_URL", f"{start_server(store).url}/config")
    url = run_jar(program, "--spring.profiles.active=prod", path="/limit")
    before = httpx.get(f"{url}/limit").text
    command = [Path(sys.executable).with_name("pyfly-config"), "put", store, "orders", "prod"]
    subprocess.run([*command, "orders.max-items=300"], check=True, capture_output=True)
    changed: list[str] = []
    deadline = time.monotonic() + SECONDS
    while "orders.max-items" not in changed:  # the server sees the change within a second
        assert time.monotonic() < deadline
        changed = httpx.post(f"{url}/actuator/refresh", timeout=60).json()
    after = httpx.get(f"{url}/limit").text
    assert [before, "", json.dumps(["orders.max-items"]), after] == list(shown)
