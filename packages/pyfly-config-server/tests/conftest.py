"""Commands in this process, and stores for them; `tests-integration` runs the real command."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import pytest

from pyfly.config_cli import main
from pyfly.config_cli._commands.serve import COMMAND, RunArguments
from pyfly.config_cli._settings.loading import load_settings
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_cli._stores import opening
from pyfly.config_server import ConfigSource, InMemoryConfigBackend, open_backend


class Done:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that serves sets up: its handler writes to an output that ends here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module", autouse=True)
def entry_points() -> Iterator[None]:
    """Look for the installed stores once: every look reads the names of all distributions."""
    with pytest.MonkeyPatch.context() as patch:
        found = cache(metadata.entry_points)
        patch.setattr("pyfly.config_server.storage.registry.entry_points", found)
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*argv: object) -> Done:
        code = main([*map(str, argv)])
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
    """Put one store with a history behind every name `memory:`; no command closes it."""
    backend = InMemoryConfigBackend()
    real = open_backend

    async def aclose() -> None:
        return None

    monkeypatch.setattr(backend, "aclose", aclose)
    monkeypatch.setattr(
        opening, "open_backend", lambda url: backend if url == "memory:" else real(url)
    )
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
        opening, "open_backend", lambda url: backend if url == "plain:" else real(url)
    )
    return backend


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServerSettings]:
    """Load the settings of `serve` with arguments, and variables without their prefix."""

    def load(*argv: object, **environ: str) -> ServerSettings:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(PREFIX + name, value)
        parsed = COMMAND.make_context("serve", [*map(str, argv)]).params
        return load_settings(RunArguments(**parsed).values())

    return load


class ThreeMethods:
    """A store with nothing but what every store has."""

    def __init__(self) -> None:
        self.stored: dict[str, ConfigSource] = {}

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        return self.stored.get(f"{application}/{profile}/{label}")

    async def save(self, source: ConfigSource) -> None:
        self.stored[str(source.key)] = source

    async def list(self) -> list[ConfigSource]:
        return sorted(self.stored.values(), key=lambda source: source.key.sort_key)


@pytest.fixture
def place(
    tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Return a function that makes an empty store of a kind and returns its URL."""
    kept: dict[str, Any] = {}
    real = open_backend
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(opening, "open_backend", lambda url: kept.get(url) or real(url))

    def make(kind: str) -> str:
        number = len([*tmp_path.iterdir()]) + len(kept)
        path = tmp_path / f"{kind.replace(' ', '-')}-{number}"
        if kind in {"labels", "spring"}:
            path.mkdir()
            return path.as_uri() + ("?layout=spring" if kind == "spring" else "")
        if kind == "sqlite":
            path.touch()
            return f"sqlite:///{path}"
        if kind.startswith("s3"):
            bucket = f"bucket-{os.urandom(8).hex()}"
            client = boto3.client("s3", endpoint_url=moto, region_name="eu-west-1")
            client.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
            layout = "&layout=spring" if kind == "s3-spring" else ""
            return f"s3://{bucket}/config?region=eu-west-1&endpoint_url={moto}{layout}"
        url = f"kept{number}:"
        kept[url] = Unclosed() if kind == "memory" else ThreeMethods()
        return url

    return make


class Unclosed(InMemoryConfigBackend):
    """A store that several commands use, one after the other."""

    async def aclose(self) -> None:
        return None
