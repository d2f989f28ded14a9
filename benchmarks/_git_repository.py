"""The repository of the benchmark, and commits that are pushed to it."""

import shutil
import subprocess
from pathlib import Path

from pyfly.config_core import ConfigKey
from pyfly.config_git import GitConfigBackend

APPLICATIONS = [f"app{n * 90}" for n in range(6)]
KEYS = [ConfigKey(application=one, profile="prod") for one in APPLICATIONS]
TEXT = "server:\n  port: {}\n"
CHANGED = [f"{APPLICATIONS[0]}.yml", f"{APPLICATIONS[0]}-prod.yml"]
"""Files that each pushed commit changes to the same text."""


def git(directory: Path, *arguments: str, data: bytes = b"") -> str:
    """Return what git prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=directory, input=data, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def fill(directory: Path, *, files: int, commits: int) -> None:
    """Make the bare repository `r.git`, and `files` with the files of its last commit."""
    git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(directory / "r.git"))
    lines = [f"commit refs/heads/main\ncommitter a <a@b> {commits} +0000\ndata 1\nx\n"]
    lines += [_file(f"app{number}-prod.yml", number) for number in range(files)]
    for number in range(1, commits):
        lines.append(f"commit refs/heads/main\ncommitter a <a@b> {commits + number} +0000\n")
        lines.append("data 1\nx\n" + _file(f"app{number % files}-prod.yml", number))
    git(directory / "r.git", "fast-import", "--quiet", data="".join(lines).encode())
    root = directory / "files"
    root.mkdir()
    git(directory / "r.git", f"--work-tree={root}", "checkout", "--force", "main", "--", ".")


def _file(path: str, number: int) -> str:
    content = TEXT.format(number)
    return f"M 100644 inline {path}\ndata {len(content)}\n{content}\n"


def open_store(directory: Path) -> GitConfigBackend:
    """Return a store of `r.git`."""
    return GitConfigBackend.from_url(url(directory))


def url(directory: Path) -> str:
    """Return the URL of `r.git`, for a store that fetches when it is asked to."""
    return f"git+file://{directory}/r.git?refresh=3600&state={directory}/state"


class Pushed:
    """Commits that are ready to be pushed, in a repository of somebody who works with it.

    Args:
        directory: Where `r.git` is.
        name: The bare repository in it that is pushed to: a copy of `r.git`, or itself.
        commits: How many.
    """

    def __init__(self, directory: Path, name: str, commits: int) -> None:
        self.remote = directory / name
        self.work = directory / f"work-{name}"
        if not self.remote.exists():
            shutil.copytree(directory / "r.git", self.remote)
        git(self.remote, "config", "receive.autogc", "false")
        git(directory, "clone", "--quiet", "--bare", str(self.remote), str(self.work))
        first = 1_000_000
        lines: list[str] = []
        for number in range(first, first + commits):
            lines.append("commit refs/heads/main\ncommitter a <a@b> now\ndata 1\nx\n")
            lines += ["from refs/heads/main^0\n"] if number == first else []
            lines += [_file(path, number) for path in CHANGED]
        data = "".join(lines).encode()
        git(self.work, "fast-import", "--quiet", "--date-format=now", data=data)
        listed = git(self.work, "rev-list", "--reverse", f"--max-count={commits}", "main").split()
        self.numbers = {commit: first + number for number, commit in enumerate(listed)}
        """The number in the changed files by commit, the oldest first."""
        self._left = listed

    def take(self, count: int) -> list[str]:
        """Return the next commits to push."""
        taken, self._left = self._left[:count], self._left[count:]
        return taken
