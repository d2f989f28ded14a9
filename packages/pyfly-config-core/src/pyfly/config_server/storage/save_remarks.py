"""What a save changed besides the values, for everything that is saved within a block."""

import contextlib
from collections.abc import Generator, Sequence
from contextvars import ContextVar

__all__ = ["note_save_remark", "noted_save_remarks", "save_remarks"]

_REMARKS: ContextVar[list[str] | None] = ContextVar("save_remarks", default=None)


@contextlib.contextmanager
def save_remarks() -> Generator[Sequence[str]]:
    """Collect the remarks of stores about saves, also in tasks that start within the block.

    A store of text files remarks that a text was written anew, without its comments. The list
    grows while the block runs.
    """
    remarks: list[str] = []
    token = _REMARKS.set(remarks)
    try:
        yield remarks
    finally:
        _REMARKS.reset(token)


def noted_save_remarks() -> Sequence[str]:
    """Return the remarks of the innermost block so far; empty outside of a block."""
    return tuple(_REMARKS.get() or ())


def note_save_remark(remark: str) -> None:
    """Add a remark about a save that succeeded. It names files, and no values."""
    remarks = _REMARKS.get()
    if remarks is not None:
        remarks.append(remark)
