"""From settings to a running application."""

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.limits import connection_limit
from pyfly.config_cli._serving.listeners import Address, is_loopback
from pyfly.config_cli._serving.logs import set_up_logs
from pyfly.config_cli._serving.memory import collect_less_often, return_large_blocks
from pyfly.config_cli._serving.telemetry import ProcessCounters
from pyfly.config_cli._settings.audit import open_audit
from pyfly.config_cli._settings.credentials import (
    authenticator_of,
    host_policy_of,
    webhook_secret_of,
)
from pyfly.config_cli._settings.encryption import encryption_of
from pyfly.config_cli._settings.health import health_of
from pyfly.config_cli._settings.live import live_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import variable_of
from pyfly.config_cli._settings.proxies import proxies_of
from pyfly.config_cli._stores.location import (
    StoreLocation,
    directory_of,
    find_store,
    identity_of,
)
from pyfly.config_core import copy_properties, flatten
from pyfly.config_litestar import ReadyApp, create_asgi_app
from pyfly.config_server import (
    ConfigBackend,
    ConfigServer,
    RoutingBackend,
    ServerOptions,
    SlowedAuthenticator,
    StandbyBackend,
    StoreRoute,
    open_backend,
)


def set_up_process(settings: ServerSettings) -> None:
    """Prepare this process for serving, once."""
    return_large_blocks()
    collect_less_often()
    set_up_logs(settings)


def check_exposure(settings: ServerSettings, addresses: Iterable[Address]) -> None:
    """Check that no other machine can read without a credential by mistake.

    Raises:
        SettingsError: One could.
    """
    if host_policy_of(settings) is not None and not is_loopback(addresses):
        raise SettingsError(
            f"{settings.host} is reachable from other machines and no credential is configured; "
            f"set {variable_of('token')}, or {variable_of('username')} and "
            f"{variable_of('password')}, or {variable_of('access_file')}, or add --insecure"
        )


def store_locations(settings: ServerSettings) -> list[StoreLocation]:
    """Return where the stores are, the highest first.

    Raises:
        ConfigError: No store is named, or a directory does not exist.
    """
    if not settings.store_urls:
        raise SettingsError(
            f"there is nothing to serve: name a directory or a URL, or set "
            f"{variable_of('backend')}; for example: pyfly-config serve ./config"
        )
    return [find_store(text) for text in settings.store_urls]


def open_server(settings: ServerSettings) -> ConfigServer:
    """Open the keys and the stores, and put a server in front of them.

    Raises:
        ConfigError: A key or a store cannot be opened, or a setting cannot be used.
    """
    stores = store_locations(settings)
    try:
        options = _options_of(settings)
        return ConfigServer(
            *_routed(settings, [_open_store(store, settings.standby) for store in stores]),
            base_path=settings.base_path,
            default_label=settings.default_label,
            options=options,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _routed(settings: ServerSettings, stores: list[ConfigBackend]) -> list[ConfigBackend]:
    """Return the stores, as one if they have patterns.

    Raises:
        ValueError: A pattern is not acceptable, or never decides.
    """
    tables = settings.store[:-1]
    if not tables:
        return stores
    routes = [
        StoreRoute(backend=store, applications=table.applications)
        for store, table in zip(stores, tables, strict=False)  # the main store is behind them
    ]
    return [RoutingBackend(stores[-1], routes)]


def _open_store(store: StoreLocation, standby: str) -> ConfigBackend:
    """Open a store, with its standby if there is a directory for it."""
    if not standby:
        return open_backend(store.url)
    root = directory_of(store.url)
    if root is not None and Path(standby).resolve().is_relative_to(root.resolve()):
        raise SettingsError(
            f"the standby {standby!r} is inside of the store {store.shown}, which would serve it; "
            f"set {variable_of('standby')} to a directory elsewhere"
        )
    return StandbyBackend(open_backend(store.url), standby, store=identity_of(store.url))


def _options_of(settings: ServerSettings) -> ServerOptions:
    return ServerOptions(
        overrides=_flat_texts(settings.overrides),
        accept_empty=settings.accept_empty,
        fail_on_composite_error=settings.fail_on_composite_error,
        continue_on_label_failure=settings.continue_on_label_failure,
        default_application_name=settings.default_application_name,
        default_profile=settings.default_profile,
        strip_document_from_yaml=settings.strip_document_from_yaml,
        reverse_location_order=settings.reverse_location_order,
        encryption=encryption_of(settings),
        version=settings.version or None,
    )


def _flat_texts(tree: Mapping[str, object]) -> dict[str, str]:
    """Return a tree as flat keys and texts, as Spring keeps overrides."""
    flat = flatten(copy_properties(tree))
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()
    }


async def open_app(settings: ServerSettings, counters: ProcessCounters, *, check: bool) -> ReadyApp:
    """Return the application that settings describe. It owns its stores.

    Args:
        settings: The settings.
        counters: What the application counts with, and what its metrics show.
        check: Ask the stores whether they can be used.

    Raises:
        ConfigError: A setting, a key or a store cannot be used.
    """
    server = open_server(settings)
    async with closing_on_error(server):
        if check:
            await server.check()
        return make_app(server, settings, counters)


@contextlib.asynccontextmanager
async def closing_on_error(server: ConfigServer) -> AsyncGenerator[None]:
    """Close a server if the block raises."""
    try:
        yield
    except BaseException:
        await server.aclose()
        raise


def make_app(server: ConfigServer, settings: ServerSettings, counters: ProcessCounters) -> ReadyApp:
    """Return the application around a server, which it owns."""
    audit = open_audit(settings)
    auth = authenticator_of(settings, audit=audit)
    return create_asgi_app(
        server,
        auth=None if auth is None else SlowedAuthenticator(auth),
        health=health_of(settings),
        hosts=host_policy_of(settings),
        proxies=proxies_of(settings),
        telemetry=counters.telemetry(settings),
        live=live_of(settings, connections=connection_limit()),
        webhook_secret=webhook_secret_of(settings),
        audit=audit,
    )
