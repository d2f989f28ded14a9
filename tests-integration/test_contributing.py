"""The diffs of CONTRIBUTING.md apply to this checkout, and what they add works."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_cli.backend_template import NewBackend

CHECKOUT = Path(__file__).parent.parent
PAGE = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = CHECKOUT / "docs" / "examples" / "config"

Checkout = Callable[[str], Path]
"""Returns a copy of the sources with the diffs of one section applied."""


def diffs(title: str) -> str:
    """Return all diffs of a section, as one patch."""
    (section,) = re.findall(rf"(?ms)^### {re.escape(title)}\n(.*?)(?=^##)", PAGE)
    return "".join(re.findall(r"(?ms)^```diff\n(.*?)^```", section))


@pytest.fixture
def changed(tmp_path: Path) -> Checkout:
    def change(title: str) -> Path:
        shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
        for source in CHECKOUT.glob("packages/*/src"):
            target = tmp_path / source.relative_to(CHECKOUT)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(
            ["git", "apply", "--verbose", "-"],
            input=diffs(title),
            encoding="utf-8",
            check=True,
            cwd=tmp_path,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        )
        return tmp_path

    return change


def run(checkout: Path, program: str, *arguments: str, **variables: str) -> str:
    """Return what a program prints that imports the packages of a changed copy."""
    path = os.pathsep.join(str(one) for one in checkout.glob("packages/*/src"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={**environment, "PYTHONPATH": path, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = "import sys; from pyfly.config_cli import main; sys.exit(main(sys.argv[1:]))"


def test_a_new_endpoint_is_one_file_and_one_line(changed: Checkout) -> None:
    program = """
import asyncio, sys
from pyfly.config_server import ConfigServer, Controller, FilesystemConfigBackend, HttpRequest
controller = Controller(ConfigServer(FilesystemConfigBackend(sys.argv[1])), auth=None)
for path in (b"/config/_labels", b"/config/_openapi.json"):
    request = HttpRequest(method="GET", raw_path=path)
    print(asyncio.run(controller.handle(request)).body.decode())
"""
    labels, openapi = run(changed("A new endpoint"), program, str(EXAMPLES)).splitlines()
    assert json.loads(labels) == {"labels": ["main", "release-1.4"]}
    described = json.loads(openapi)["paths"]["/_labels"]["get"]
    assert described["operationId"] == "listLabels"
    files = re.findall(r"(?m)^\+\+\+ b/(.*)$", diffs("A new endpoint"))
    added = re.findall(r"(?m)^\+ .*$", diffs("A new endpoint").partition("__init__.py")[2])
    assert len(files) == 2
    assert added == ["+    labels,", "+    *labels.ENDPOINTS,"]


def test_a_new_command_is_one_file_and_one_line(changed: Checkout) -> None:
    checkout = changed("A new command")
    assert run(checkout, COMMAND, "count", str(EXAMPLES)).strip().isdigit()
    assert "count" in run(checkout, COMMAND, "--help")


def test_a_new_setting_is_one_field_and_its_use(changed: Checkout, tmp_path: Path) -> None:
    checkout = changed("A new setting")
    assert "PYFLY_CONFIG_SERVER_GREETING" in run(checkout, COMMAND, "settings", "table")
    assert "greeting" in json.loads(run(checkout, COMMAND, "settings", "schema"))["properties"]
    program = """
import asyncio, sys
from pyfly.config_cli._serving.start_report import make_report
from pyfly.config_cli._settings.loading import load_settings
from pyfly.config_server import ConfigServer, InMemoryConfigBackend
settings = load_settings({"settings": sys.argv[1]})
print(asyncio.run(make_report(ConfigServer(InMemoryConfigBackend()), settings)))
"""
    file = tmp_path / "server.toml"
    file.write_text('greeting = "from the file"\n', encoding="utf-8")
    assert "  greeting      from the file\n" in run(checkout, program, str(file))
    from_variable = run(checkout, program, "", PYFLY_CONFIG_SERVER_GREETING="hello")
    assert "  greeting      hello\n" in from_variable
    assert "greeting" not in run(checkout, program, "")


def test_a_new_layout_is_one_class_and_its_name(changed: Checkout, tmp_path: Path) -> None:
    checkout, store = changed("A new layout"), tmp_path / "store"
    (store / "main").mkdir(parents=True)
    (store / "main" / "orders.yaml").write_text("pool: 5\n", encoding="utf-8")
    url = f"{store.as_uri()}?layout=dotted"
    run(checkout, COMMAND, "put", url, "orders", "prod", "pool=20")
    assert (store / "main" / "orders.prod.yaml").read_text(encoding="utf-8") == "pool: 20\n"
    listed = json.loads(run(checkout, COMMAND, "list", url, "--json"))["bundles"]
    assert [(one["application"], one["profile"]) for one in listed] == [
        ("orders", "-"),
        ("orders", "prod"),
    ]
    assert "pool: 5" in run(checkout, COMMAND, "get", url, "orders", "-")


def test_a_new_store_changes_what_the_page_shows(changed: Checkout) -> None:
    registered = runpy.run_path(str(CHECKOUT / "scripts" / "new_backend.py"))["registered"]
    directory = CHECKOUT / "packages" / "pyfly-config-etcd"
    made = NewBackend(name="etcd", directory=directory, package="pyfly.config_etcd")
    before = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    after = (changed("A new store") / "pyproject.toml").read_text(encoding="utf-8")
    assert after == registered(before, made)


@pytest.mark.parametrize(("script", "directory"), [("prove", "proofs"), ("bench", "benchmarks")])
def test_a_script_lists_what_it_runs_by_name(script: str, directory: str) -> None:
    def told(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [CHECKOUT / "scripts" / script, *arguments],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    names = [one.stem for one in sorted((CHECKOUT / directory).glob("[!_]*.py"))]
    status, listed = told()
    assert (status, re.findall(r"(?m)^  (\w+) +\S", listed)) == (0, names)
    assert told("--help") == (0, listed)
    for unknown in ("nothing", "_server", f"../{directory}/{names[0]}"):
        status, refused = told(unknown)
        assert status == 2
        assert f"there is no '{unknown}'" in refused
        assert re.findall(r"(?m)^  (\w+) +\S", refused) == names
