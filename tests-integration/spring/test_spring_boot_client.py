"""An unmodified Spring Boot service that imports its configuration from our server."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.external

FILES = {
    "main/application-default.yaml": "company: Example\nhosts: [a, b, c]\nwho: shared\n",
    "main/orders-default.yaml": "who: orders\nport: 8080\nurl: 'http://h:${port}/'\n"
    "---\nspring.config.activate.on-profile: eu & !prod\nregion: only-eu\n",
    "main/orders-prod.yaml": "who: prod\nhosts: [p]\nport: 80\n",
    "main/orders-eu.yaml": "who: eu\nbig: 12345678901234567890\nflag: yes\ntime: 12:30\n",
    "feature/x/orders-default.yaml": "who: feature\n",
}


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("store")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return start_server(root, USERNAME="reader", PASSWORD="open sesame")


@pytest.fixture(scope="module")
def program(jar: Callable[[str], Path]) -> Path:
    return jar("client")


Start = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def start(program: Path, server: Any, tmp_path: Path) -> Start:
    """Run the service to its end; return its exit code, effective properties and output."""

    def run(
        *settings: str, location: str | None = None, optional: bool = False
    ) -> tuple[int, dict[str, str], str]:
        where = location or f"{server.url.replace('://', '://reader:open%20sesame@')}/config"
        done = subprocess.run(
            [
                *("java", "-jar", program, "--spring.application.name=orders"),
                f"--spring.config.import={'optional:' if optional else ''}configserver:{where}",
                *(f"--spring.{setting}" for setting in settings),
            ],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        effective = {
            line.removeprefix("effective ").partition("=")[0]: line.partition("=")[2]
            for line in done.stdout.splitlines()
            if line.startswith("effective ")
        }
        return done.returncode, effective, done.stdout + done.stderr

    return run


@pytest.mark.case(99, 100)
@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ("", {"who": "orders", "url": "http://h:8080/", "hosts[2]": "c", "company": "Example"}),
        ("prod", {"who": "prod", "url": "http://h:80/", "hosts[0]": "p"}),
        ("prod,eu", {"who": "eu", "hosts[0]": "p", "flag": "true", "time": "750"}),
        ("eu", {"who": "eu", "region": "only-eu", "big": "12345678901234567890"}),
    ],
)
def test_the_effective_properties_are_those_of_the_store(
    start: Start, profiles: str, expected: dict[str, str]
) -> None:
    code, effective, told = start(*([f"profiles.active={profiles}"] if profiles else []))
    assert code == 0, told
    assert {key: effective.get(key) for key in expected} == expected
    assert ("region" in effective) == (profiles == "eu")


@pytest.mark.case(99, 102)
def test_labels_may_have_slashes_and_be_tried_in_turn(start: Start) -> None:
    for label in ("feature/x", "nolabel,feature/x"):
        code, effective, told = start(f"cloud.config.label={label}")
        assert (code, effective.get("who")) == (0, "feature"), told


@pytest.mark.case(103, 104)
def test_what_cannot_be_had_stops_the_service_unless_it_is_optional(
    start: Start, server: Any, free_port: Callable[[], int]
) -> None:
    wrong = f"{server.url.replace('://', '://reader:wrong@')}/config"
    nowhere = f"http://127.0.0.1:{free_port()}/config"
    for settings, location in (
        (["cloud.config.label=nolabel"], None),
        ([], wrong),
        ([], nowhere),
    ):
        code, _, told = start(*settings, location=location)
        assert code != 0
        assert "ConfigClient" in told
        code, effective, told = start(*settings, location=location, optional=True)
        assert (code, effective) == (0, {}), told
    code, _, told = start("cloud.config.fail-fast=true", location=nowhere, optional=True)
    assert code != 0, told
