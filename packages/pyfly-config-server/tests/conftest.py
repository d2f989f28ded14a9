"""Commands in this process, and stores for them; `tests-integration` runs the real command."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli import _stores, main
from pyfly.config_server import Bundles, ConfigSource, InMemoryConfigBackend, open_backend


class Done:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*argv: object) -> Done:
        try:
            code = main([*map(str, argv)])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    (root / "main").mkdir(parents=True)
    (root / "next").mkdir()
    (root / "main/orders-prod.yaml").write_text("a: 1\nb: {c: [x, y]}\n", encoding="utf-8")
    (root / "main/orders-dev.json").write_text('{"a": 2}\n', encoding="utf-8")
    (root / "next/orders-prod.yaml").write_text("a: 1\nb: {c: [x]}\nd: true\n", encoding="utf-8")
    return root


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemoryConfigBackend:
    """Put one store with a history behind every name `memory:`."""
    backend = InMemoryConfigBackend()
    real = _stores.opened

    @asynccontextmanager
    async def opened(name: str) -> AsyncGenerator[Bundles]:
        if name == "memory:":
            yield Bundles(backend)
        else:
            async with real(name) as bundles:
                yield bundles

    monkeypatch.setattr(_stores, "opened", opened)
    return backend


class Plain:
    """A store with the three methods."""

    def __init__(self) -> None:
        self.stored: dict[str, ConfigSource] = {}

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        return self.stored.get(f"{application}/{profile}/{label}")

    async def save(self, source: ConfigSource) -> None:
        self.stored[str(source.key)] = source

    async def list(self) -> list[ConfigSource]:
        return [*self.stored.values()]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Plain:
    backend = Plain()
    real = open_backend
    monkeypatch.setattr(
        _stores, "open_backend", lambda url: backend if url == "plain:" else real(url)
    )
    return backend
