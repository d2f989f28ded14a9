"""Where lines of the audit log go: a file, or standard output."""

import errno
import logging
import os
from pathlib import Path
from typing import Final

from pyfly.config_server.audit.sinks import AuditError

__all__ = ["AuditFile", "StandardOutput", "check_audit_file"]

_LOG: Final = logging.getLogger(__name__)
_MODE: Final = 0o640
_APPEND: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a reader is refused, a full one, too
)
_STANDARD_OUTPUT: Final = 1


class AuditFile:
    """A file to which several processes append. Its lines are whole.

    When the name means another file, or none, that one is opened (mode 640) before the next line.
    If it cannot be opened, the file before stays open, and the log says why, once.

    Args:
        path: The file.

    Raises:
        AuditError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.longest_line: Final = 16_384
        """The largest number of bytes of a line."""
        self.name: Final = f"audit log {str(path)!r}"
        """What messages call it."""
        self._path = path
        self._is_torn = False
        self._is_reported = False
        self._descriptor: int | None = None
        try:
            os.close(os.open(path, _APPEND | os.O_CREAT, _MODE))
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error

    def write(self, line: bytes) -> None:
        """Append a line with one system call.

        Raises:
            OSError: The file does not take it.
        """
        descriptor = self._follow()
        data = b"\n" + line if self._is_torn else line
        if os.write(descriptor, data) != len(data):
            self._is_torn = True  # the next line must not continue this one
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_torn = False

    def sync(self) -> None:
        """Return when the lines survive a crash of the machine.

        Raises:
            OSError: They may not.
        """
        try:
            os.fsync(self._follow())
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EROFS, errno.ENOTSUP}:  # no regular file
                raise

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _follow(self) -> int:
        """Return the descriptor of the file that has the name now, or of the one before."""
        before = self._descriptor
        try:
            if before is not None and os.path.samestat(os.fstat(before), self._path.stat()):
                return before
        except FileNotFoundError:
            pass
        except OSError as error:
            if before is not None:
                return self._stay(before, error)
        try:
            new = os.open(self._path, _APPEND | os.O_CREAT, _MODE)
        except OSError as error:
            if before is None:
                raise
            return self._stay(before, error)
        self._descriptor, self._is_torn, self._is_reported = new, False, False
        if before is not None:
            os.close(before)
        return new

    def _stay(self, before: int, error: OSError) -> int:
        if not self._is_reported:
            _LOG.error(
                "%s cannot be opened again: %s; the file before stays open",
                self.name,
                error.strerror,
            )
            self._is_reported = True
        return before


class StandardOutput:
    """The standard output of this process."""

    def __init__(self) -> None:
        self.longest_line: Final = 4_096
        """The largest write to a pipe that no other writer divides (`PIPE_BUF` of Linux)."""
        self.name: Final = "audit log on standard output"
        """What messages call it."""
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Write a line; wait for a reader that is late.

        Raises:
            OSError: Nobody reads.
        """
        data = b"\n" + line if self._is_torn else line
        if os.write(_STANDARD_OUTPUT, data) != len(data):
            self._is_torn = True
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._is_torn = False

    def sync(self) -> None:
        """Do nothing: its reader keeps the lines."""

    def close(self) -> None:
        """Leave it open: other parts of the process use it."""


def check_audit_file(path: Path) -> None:
    """Check that a file can be appended to, without creating it.

    Raises:
        AuditError: It cannot.
    """
    try:
        os.close(os.open(path, _APPEND))
    except FileNotFoundError as error:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _unusable(path, error) from error
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError | ValueError) -> AuditError:
    reason = error.strerror if isinstance(error, OSError) else "the name is not acceptable"
    return AuditError(f"cannot append to the audit log {str(path)!r}: {reason}")
