"""Starts a server: checks everything that can be checked, then serves."""

import os
from collections.abc import Callable, Sequence

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.certificates import check_tls
from pyfly.config_cli._serving.listeners import METRICS_ADVICE, Address, Listeners, bind, resolve
from pyfly.config_cli._serving.setup import (
    check_exposure,
    open_server,
    set_up_process,
    store_locations,
)
from pyfly.config_cli._serving.supervisor import supervise
from pyfly.config_cli._serving.worker import serve_alone
from pyfly.config_cli._settings.audit import check_audit
from pyfly.config_cli._settings.credentials import authenticator_of
from pyfly.config_cli._settings.fields import split_address
from pyfly.config_cli._settings.metrics import check_metrics
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
    report_misplaced_files(settings.store_urls)
    store_locations(settings)
    if settings.workers > 1 and os.name != "posix":
        raise SettingsError("several workers need a POSIX system; serve with one worker")
    set_up_process(settings)
    check_tls(settings)
    server = open_server(settings)
    addresses = resolve(settings.host, settings.port)
    check_exposure(settings, addresses)
    check_metrics(settings)
    authenticator_of(settings)
    check_audit(settings)
    listeners = _bind(settings, addresses)
    run = serve_alone if settings.workers == 1 else supervise
    run(load, settings, server, listeners)
    return 0


def _bind(settings: ServerSettings, addresses: Sequence[Address]) -> Listeners:
    service = bind(settings.host, addresses)
    address = split_address(settings.metrics_listen)
    if address is None:
        return Listeners(service=service)
    metrics_addresses = resolve(*address, advice=METRICS_ADVICE)
    metrics = bind(address[0], metrics_addresses, advice=METRICS_ADVICE)
    return Listeners(service=service, metrics=metrics)
