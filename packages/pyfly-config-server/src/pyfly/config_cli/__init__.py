"""The `pyfly-config` command."""

import os
import sys

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    The current directory is taken off the import path before anything else is imported: a
    configuration repository may hold files that are named as modules.
    """
    _leave_out_current_directory()
    if argv is None and sys.argv[1:2] == ["serve"]:
        _stop_at_once()
    from pyfly.config_cli._main import main as run  # noqa: PLC0415 - only after the lines above

    return run(argv)


def _leave_out_current_directory() -> None:
    """Change the import path of this process and of those that it starts.

    The working directory comes first there with `python -c`, `python -m` and an empty part of
    `PYTHONPATH`. Entries after the standard library are installed packages, and stay.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib is not imported yet
    last = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:last] = [entry for entry in sys.path[:last] if not _is_current(entry)]
    if given := os.environ.pop("PYTHONPATH", None):
        safe = [entry for entry in given.split(os.pathsep) if not _is_current(entry)]
        os.environ |= {"PYTHONPATH": os.pathsep.join(safe)} if safe else {}


def _is_current(entry: str) -> bool:
    """True if an entry is the current directory, in any spelling."""
    try:
        return os.path.samefile(entry or ".", ".")  # noqa: PTH121 - pathlib is not imported yet
    except OSError:  # one of them does not exist: nothing is imported from there
        return entry in {"", "."}


def _stop_at_once() -> None:
    """Let SIGTERM and SIGINT end the start of a server, when nothing has to be finished yet."""
    import signal  # noqa: PLC0415 - only when the import path is safe

    def stop(number: int, frame: object) -> None:
        del number, frame
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
