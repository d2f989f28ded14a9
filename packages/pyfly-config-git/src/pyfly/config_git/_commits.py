"""Commit objects: made for a save, and read for a history. Pure functions."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyfly.config_git._trees import header_of
from pyfly.config_server.files import ChangeNote

_NAME: Final = "pyfly-config"
_EMAIL: Final = "pyfly-config@localhost"
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f<>]+")
_ADDRESS: Final = re.compile(r"(?P<name>[^<>\n]*[^<>\s])\s*<(?P<email>[^<>\s]+)>")
_PERSON: Final = re.compile(r"(?P<name>.*?) ?<(?P<email>[^<>]*)> (?P<seconds>-?\d+) [+-]\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What a history shows of a commit."""

    saved_at: datetime
    """The time of the commit, in UTC."""
    author: str | None
    """`None` if a save named none."""
    message: str | None


def commit_data(
    *, tree: str, parent: str | None, note: ChangeNote, subject: str, seconds: int
) -> bytes:
    """Return the content of a commit object.

    Args:
        tree: The root directory.
        parent: The commit before; `None` for the first one of a branch.
        note: Author and message. `Name <address>` is an author with an address.
        subject: The message if there is none.
        seconds: The time, since 1970.
    """
    committer = f"{_NAME} <{_EMAIL}> {seconds} +0000"
    author = committer if not note.author else f"{_person(note.author)} {seconds} +0000"
    message = (note.message or subject).replace("\0", " ")
    lines = [f"tree {tree}", *([] if parent is None else [f"parent {parent}"])]
    lines += [f"author {author}", f"committer {committer}", "", f"{message}\n"]
    return "\n".join(lines).encode("utf-8", errors="replace")


def parse_commit(data: bytes, *, subject: str) -> Commit:
    """Return what a history shows of a commit.

    Args:
        data: The content of the commit object.
        subject: The message that a save without message has.

    What other programs wrote may be malformed. Then the author is the text that stands there, and
    the time is the start of 1970.
    """
    written = header_of(data, "author") or ""
    author = _PERSON.fullmatch(written)
    committer = _PERSON.fullmatch(header_of(data, "committer") or "")
    message = data.partition(b"\n\n")[2].decode(errors="replace").removesuffix("\n")
    is_ours = committer is not None and committer["email"] == _EMAIL
    shown = written or None
    if author is not None:
        shown = None if author["email"] == _EMAIL else _shown(author["name"], author["email"])
    return Commit(
        saved_at=_time(0 if committer is None else int(committer["seconds"])),
        author=shown,
        message=None if is_ours and message == subject else message,
    )


def _person(author: str) -> str:
    match = _ADDRESS.fullmatch(author.strip())
    if match is not None:
        return f"{_FORBIDDEN.sub(' ', match['name'])} <{match['email']}>"
    name = _FORBIDDEN.sub(" ", author).strip() or _NAME
    return f"{name} <{name if '@' in name and ' ' not in name else ''}>"


def _shown(name: str, email: str) -> str:
    return name if not email or email == name else f"{name} <{email}>"


def _time(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
