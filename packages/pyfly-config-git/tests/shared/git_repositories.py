"""Git repositories for tests."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyfly.config_git import GitConfigBackend

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


class Repository:
    """A bare repository that stands for the remote."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", f"--object-format={object_format}", "-b", "main")

    @classmethod
    def at(cls, path: Path) -> "Repository":
        """Return a repository that exists."""
        repository = cls.__new__(cls)
        repository.path = path
        return repository

    @property
    def url(self) -> str:
        return f"git+file://{self.path}"

    def git(self, *arguments: str, data: bytes = b"") -> str:
        """Return the output of a command."""
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments],
            input=data,
            env=_ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def head(self, branch: str = "main") -> str:
        """Return the commit of a branch."""
        return self.git("rev-parse", f"refs/heads/{branch}")

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        branch: str = "main",
        *,
        message: str = "change",
        fresh: bool = False,
    ) -> str:
        """Commit files; return the commit. `None` removes a file.

        Args:
            files: The content by path.
            branch: The branch, which may be new.
            message: The message.
            fresh: True for a commit without a parent, with these files only.
        """
        ref = f"refs/heads/{branch}"
        known = self.git("for-each-ref", "--format=x", ref)
        start = f"from {ref}^0\n" if known and not fresh else ""
        reset = f"reset {ref}\n\n" if fresh else ""
        parts = [
            f"{reset}commit {ref}\ncommitter ada <ada@example.org> now\n"
            f"data {len(message.encode())}\n{message}\n{start}".encode()
        ]
        for path, content in files.items():
            if content is None:
                parts.append(f"D {path}\n".encode())
                continue
            data = content.encode() if isinstance(content, str) else content
            parts.append(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
        self.git("fast-import", "--quiet", "--force", "--date-format=now", data=b"".join(parts))
        return self.head(branch)


async def until_fetched(backend: GitConfigBackend, label: str, commit: str) -> None:
    """Return when a branch has been fetched as far as a commit."""
    await backend.refetch()
    while (await backend.run(lambda *, deadline: _commit(backend, label, deadline))) != commit:
        await asyncio.sleep(0.01)


def _commit(backend: Any, label: str, deadline: float) -> str | None:
    return backend._files.commit(label, deadline=deadline)
