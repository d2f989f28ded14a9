"""`pyfly-config serve`: checks everything it can, says what it found, starts the workers."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server
from litestar import Litestar

from pyfly.config_cli._encryption_settings import open_ring
from pyfly.config_cli._known import PREFIX, SettingsError
from pyfly.config_cli._settings import ServeSettings, parse_settings
from pyfly.config_cli._sources import settings_in
from pyfly.config_core import SHARED_APPLICATION, ConfigKey, encode_slashes
from pyfly.config_litestar import create_app
from pyfly.config_server import Bundles, ConfigServer, Encryption, open_backend

HEADER_SECONDS = 10
"""A client has this long to send its request line and headers, and to use an idle connection."""
HEADER_BYTES = 65_536
"""Request line and headers together."""
STOP_SECONDS = 8
"""Running requests have this long to finish after SIGTERM."""

_SHOWN_NAMES = 12


def run(values: Mapping[str, str]) -> int:
    """Serve until a signal; return the exit code.

    Raises:
        ConfigError: A setting, the store or the address cannot be used; nothing was started.
    """
    settings = parse_settings(values)
    server = open_server(settings)
    _check_address(settings.host, settings.port)
    print(asyncio.run(_report(server, settings)), flush=True)  # noqa: T201 - the command's output
    os.environ.pop(PREFIX + "SETTINGS", None)
    for name, value in values.items():  # how the worker processes learn what was said
        os.environ[PREFIX + name] = value
    Server(
        f"{make_app.__module__}:{make_app.__name__}",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES
        ),
        websockets=False,
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()
    return 0


def make_app() -> Litestar:
    """Return the application of one worker process, from the settings in its environment."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings = parse_settings(settings_in(os.environ))
    return create_app(
        open_server(settings),
        auth=settings.credential,
        health=settings.health,
        hosts=settings.hosts,
    )


def open_server(settings: ServeSettings) -> ConfigServer:
    """Open the keys and the stores, and put a server in front of them.

    Raises:
        ConfigError: A key or a store cannot be opened, or a setting cannot be used.
    """
    keys = None if settings.keys is None else open_ring(settings.keys)
    try:
        return ConfigServer(
            *(open_backend(url) for url in settings.backends),
            base_path=settings.base_path,
            encryption=Encryption(keys=keys, **settings.encryption),
            **settings.options,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _check_address(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # the latter for what cannot be a host name
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise SettingsError(
            f"cannot listen on {host}:{port}: {reason}; "
            "choose another address with --host or another port with --port"
        ) from error


async def _report(server: ConfigServer, settings: ServeSettings) -> str:
    """Say what is served and where; a broken bundle is named, not fatal."""
    try:
        await server.check()
        entries = [
            entry for backend in server.backends async for entry in Bundles(backend).entries()
        ]
    finally:
        await server.aclose()
    keys = [entry.key for entry in entries]
    lines = [
        f"Serving {settings.shown} at {settings.url}",
        f"  bundles       {len(keys)}",
        f"  applications  {_some(key.application for key in keys)}",
        f"  profiles      {_some(key.profile for key in keys)}",
        f"  labels        {_labels(keys, server.default_label)}",
        f"  credential    {settings.credential.scheme if settings.credential else 'none'}",
    ]
    if settings.keys is not None:
        decrypts = ", answers /decrypt" if server.encryption.answers_decrypt else ""
        lines.append(f"  encryption    configured{decrypts}")
    lines += [f"  unreadable    {entry.key}: {entry.error}" for entry in entries if entry.error]
    if readable := [entry.key for entry in entries if not entry.error]:
        lines.append(f"Try: curl {settings.url}/{_example(readable, server.default_label)}")
    return "\n".join(lines)


def _labels(keys: Sequence[ConfigKey], default: str) -> str:
    unused = "" if not keys or any(key.label == default for key in keys) else ", which has none"
    return f"{_some(key.label for key in keys)} (default: {default}{unused})"


def _example(keys: Sequence[ConfigKey], default: str) -> str:
    """Return the path of a request that something is stored for, at the default label if it is."""
    key = min(keys, key=lambda one: (one.label != default, one.application == SHARED_APPLICATION))
    names = [key.application, key.profile, *([] if key.label == default else [key.label])]
    return "/".join(quote(encode_slashes(name)) for name in names)


def _some(names: Iterable[str]) -> str:
    known = sorted(set(names))
    shown = ", ".join(known[:_SHOWN_NAMES]) or "none"
    rest = len(known) - _SHOWN_NAMES
    return f"{shown}, and {rest} more" if rest > 0 else shown
