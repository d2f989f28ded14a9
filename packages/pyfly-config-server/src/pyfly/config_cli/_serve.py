"""`pyfly-config serve`: checks everything it can, serves, and says what it serves and where."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._places import tell_unserved
from pyfly.config_cli._serving.http_server import BACKLOG
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_cli._serving.opening import check_exposure, open_server, set_up_process
from pyfly.config_cli._serving.supervisor import supervise
from pyfly.config_cli._serving.worker import serve_alone
from pyfly.config_cli._settings import ServeSettings, parse_settings
from pyfly.config_core import SHARED_APPLICATION, ConfigKey, encode_slashes
from pyfly.config_server import Bundles, ConfigServer

_SHOWN_NAMES = 12


def run(read_values: Callable[[], Mapping[str, str]]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Args:
        read_values: Reads the settings, by name without prefix; called again at each reload.

    Raises:
        ConfigError: A setting, the store or the address cannot be used; nothing was started.
    """
    values = read_values()
    tell_unserved(values)
    settings = parse_settings(values)
    if settings.workers > 1 and os.name != "posix":
        raise SettingsError("several workers need a POSIX system; serve with one")
    set_up_process()
    server = open_server(settings)
    addresses = resolve(settings.host, settings.port)
    check_exposure(settings, addresses)
    listeners = bind(settings.host, addresses)
    report = asyncio.run(_report(server, settings))
    listen(settings.host, listeners, backlog=BACKLOG)
    ready = partial(_say, report)
    if settings.workers == 1:
        serve_alone(read_values, values, listeners, ready=ready)
    else:
        supervise(read_values, values, listeners, count=settings.workers, ready=ready)
    return 0


def _say(report: str) -> None:
    """Print the report; a reader that has gone is no reason not to serve."""
    with contextlib.suppress(OSError):
        print(report, flush=True)  # noqa: T201 - the command's output


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
        decrypts = ", answers /decrypt" if server.options.encryption.answers_decrypt else ""
        lines.append(f"  encryption    configured{decrypts}")
    lines += [f"  unreadable    {entry.key}: {entry.error}" for entry in entries if entry.error]
    if readable := [entry.key for entry in entries if not entry.error]:
        path = _example(readable, server.default_label)
        lines.append(f"Try: curl {settings.url}/{path}{_login(settings)}")
    return "\n".join(lines)


def _login(settings: ServeSettings) -> str:
    """Return how curl is told the credential, with words in its place."""
    if settings.credential is None:
        return ""
    is_basic = settings.credential.scheme == "basic"
    return " -u 'NAME:PASSWORD'" if is_basic else " -H 'Authorization: Bearer TOKEN'"


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
