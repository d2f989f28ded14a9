"""The workflows are pinned and hold as few rights as they need; the files for contributors."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parent.parent
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_its_version(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    for line in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_an_action_has_one_version_everywhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    used = {*re.findall(r"uses: (.*)", text)}
    assert len({line.partition("@")[0] for line in used}) == len(used)


def test_only_jobs_that_build_nothing_may_write() -> None:
    writing = {
        (path.name, name): {right for right, level in job["permissions"].items() if level != "read"}
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    }
    assert {job: rights for job, rights in writing.items() if rights} == {
        ("docs.yml", "deploy"): {"pages", "id-token"},
        ("release.yml", "publish"): {"id-token", "attestations"},
        ("release.yml", "announce"): {"contents"},
    }


def test_what_a_workflow_runs_is_there_and_may_be_executed() -> None:
    for path in WORKFLOWS:
        for name in re.findall(r"(?:\.ci|scripts)/[\w-]+", path.read_text(encoding="utf-8")):
            assert (CHECKOUT / name).stat().st_mode & 0o111, name


def test_linters_find_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    commands = [[str(zizmor), "--offline", "--no-progress", str(CHECKOUT / ".github")]]
    if actionlint := shutil.which("actionlint"):
        commands.append([actionlint])
    for command in commands:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=False, cwd=CHECKOUT
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_forms_for_issues_ask_for_what_is_needed() -> None:
    forms = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    assert len(forms) == 2
    for form in forms:
        fields = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {*fields} == {"name", "description", "labels", "body"}
        names = [field["id"] for field in fields["body"] if field["type"] != "markdown"]
        assert len({*names}) == len(names)
        assert any(field.get("validations", {}).get("required") for field in fields["body"])


def test_a_container_for_development_starts_with_the_setup() -> None:
    path = CHECKOUT / ".devcontainer" / "devcontainer.json"
    command = json.loads(path.read_text(encoding="utf-8"))["postCreateCommand"]
    for option, code in (("--help", 0), ("--hoks", 2)):
        done = subprocess.run(
            [CHECKOUT / command, option], capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == code
        assert "--h" in done.stdout + done.stderr
