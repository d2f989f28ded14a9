"""From settings to a running application."""

import logging
from collections.abc import Iterable, Mapping

from litestar import Litestar

from pyfly.config_cli._encryption_settings import open_ring
from pyfly.config_cli._known import PREFIX, SettingsError
from pyfly.config_cli._serving.listeners import Address, is_loopback
from pyfly.config_cli._serving.memory import return_large_blocks
from pyfly.config_cli._settings import ServeSettings, parse_settings
from pyfly.config_litestar import create_app
from pyfly.config_server import ConfigServer, Encryption, ServerOptions, open_backend


def set_up_process() -> None:
    """Prepare this process for serving, once.

    Warnings of every module, and what the command itself has to say, go to stderr.
    """
    return_large_blocks()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pyfly.config_cli").setLevel(logging.INFO)


def check_exposure(settings: ServeSettings, addresses: Iterable[Address]) -> None:
    """Check that nobody can read from other machines without a credential, by mistake.

    Raises:
        SettingsError: They could.
    """
    if settings.hosts is not None and not is_loopback(addresses):
        raise SettingsError(
            f"{settings.host} is reachable from other machines and no credential is configured; "
            f"set {PREFIX}TOKEN, or {PREFIX}USERNAME and {PREFIX}PASSWORD, or say --insecure"
        )


def open_server(settings: ServeSettings) -> ConfigServer:
    """Open the keys and the stores, and put a server in front of them.

    Raises:
        ConfigError: A key or a store cannot be opened, or a setting cannot be used.
    """
    keys = None if settings.keys is None else open_ring(settings.keys)
    options = {**settings.options}
    default_label = options.pop("default_label")
    try:
        return ConfigServer(
            *(open_backend(url) for url in settings.backends),
            base_path=settings.base_path,
            default_label=default_label,
            options=ServerOptions(
                encryption=Encryption(keys=keys, **settings.encryption), **options
            ),
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


async def open_app(values: Mapping[str, str], *, check: bool) -> Litestar:
    """Return the application that settings describe. It owns its stores.

    Args:
        values: By name without prefix.
        check: Ask the stores whether they can be used.

    Raises:
        ConfigError: A setting, a key or a store cannot be used.
    """
    settings = parse_settings(values)
    server = open_server(settings)
    if check:
        try:
            await server.check()
        except BaseException:
            await server.aclose()
            raise
    return create_app(
        server, auth=settings.credential, health=settings.health, hosts=settings.hosts
    )
