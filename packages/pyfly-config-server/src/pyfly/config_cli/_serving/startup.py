"""Starts a server: checks everything that can be checked, then serves and reports where."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.http_server import BACKLOG
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_cli._serving.setup import (
    check_exposure,
    open_server,
    set_up_process,
    store_locations,
)
from pyfly.config_cli._serving.start_report import make_report
from pyfly.config_cli._serving.supervisor import supervise
from pyfly.config_cli._serving.worker import serve_alone
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._stores.misplaced_files import report_misplaced_files


def serve(load: Callable[[], ServerSettings]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Args:
        load: Loads the settings; called again at each reload.

    Raises:
        ConfigError: A setting, the store or the address cannot be used; nothing was started.
    """
    settings = load()
    report_misplaced_files(settings.backend)
    stores = store_locations(settings)
    if settings.workers > 1 and os.name != "posix":
        raise SettingsError("several workers need a POSIX system; serve with one worker")
    set_up_process()
    server = open_server(settings)
    addresses = resolve(settings.host, settings.port)
    check_exposure(settings, addresses)
    listeners = bind(settings.host, addresses)
    report = asyncio.run(make_report(server, settings, stores))
    listen(settings.host, listeners, backlog=BACKLOG)
    ready = partial(_print_report, report)
    if settings.workers == 1:
        serve_alone(load, settings, listeners, ready=ready)
    else:
        supervise(load, settings, listeners, ready=ready)
    return 0


def _print_report(report: str) -> None:
    """Print the report; the server runs on if nobody reads it."""
    with contextlib.suppress(OSError):
        print(report, flush=True)  # noqa: T201 - the command's output
