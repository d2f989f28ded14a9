"""The report at the start of a server: its stores, their content, and a request to try."""

import asyncio
import contextlib
import heapq
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from pyfly.config_cli._serving.setup import store_locations
from pyfly.config_cli._settings.audit import is_audited_to_output
from pyfly.config_cli._settings.credentials import credential_of, credentials_of, needs_credential
from pyfly.config_cli._settings.encryption import keys_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._stores.location import find_store
from pyfly.config_core import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigError,
    ConfigKey,
    encode_slashes,
)
from pyfly.config_server import Bundles, ConfigServer, RoutingBackend

_MAX_NAMES: Final = 12
_MAX_EXAMPLES: Final = 3
_STEP: Final = 1_000
"""So many names are collected in one turn of the event loop."""


def url_of(settings: ServerSettings) -> str:
    """Return the URL of the documents.

    >>> url_of(ServerSettings(host="::1", base_path=""))
    'http://[::1]:8888'
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls_certificate_file else "http"
    return f"{scheme}://{host}:{settings.port}{settings.base_path}"


async def print_report(server: ConfigServer, settings: ServerSettings) -> None:
    """Print where the server is, then what is stored; the server runs on if nobody reads it.

    Call this when requests are answered. Other tasks run while the stores are listed.
    """
    stores = ", ".join(store.shown for store in store_locations(settings))
    output = sys.stderr if is_audited_to_output(settings) else sys.stdout
    with contextlib.suppress(OSError):
        print(f"Serving {stores} at {url_of(settings)}", file=output, flush=True)
        print(await make_report(server, settings), file=output, flush=True)


async def make_report(server: ConfigServer, settings: ServerSettings) -> str:
    """Return a text about what is stored, and a request that was answered.

    Bundles are counted by their names. Only those that the request needs are read. If the stores
    cannot be listed, the text gives the reason; the server may still answer.
    """
    keys = list[ConfigKey]()
    try:
        keys = await _names(server)
        lines = _counts(keys, server.default_label)
    except Exception as error:  # noqa: BLE001 - a store of a third party may raise anything
        lines = [f"  bundles       not counted: {_reason(error)}"]
    lines += _routes(server, settings)
    lines.append(f"  credential    {credentials_of(settings)}")
    if urls := _metrics_urls(settings):
        lines.append(f"  metrics       {', '.join(urls)}")
    if keys_of(settings) is not None:
        decrypts = ", answers /decrypt" if server.options.encryption.answers_decrypt else ""
        lines.append(f"  encryption    configured{decrypts}")
    for key in _examples(keys, server.default_label):
        try:
            await server.fetch(key.application, key.profile, key.label)
        except Exception as error:  # noqa: BLE001 - as above
            lines.append(f"  unreadable    {key}: {_reason(error)}")
        else:
            path = _path(key, server.default_label)
            lines.append(f"Try: curl {url_of(settings)}/{path}{_curl_options(settings)}")
            break
    return "\n".join(lines)


def _routes(server: ConfigServer, settings: ServerSettings) -> list[str]:
    """Return a line for each store with patterns, and one for each overlap of patterns."""
    tables = settings.store[:-1]
    lines = [
        f"  store         {find_store(one.url).shown}: {', '.join(one.applications)}"
        for one in tables
    ]
    backend = server.bundles.backend
    if isinstance(backend, RoutingBackend):
        lines += [
            f"  overlap       {one} decides where {other} matches, too"
            for one, other in backend.overlaps()
        ]
    return lines


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigError) else type(error).__name__


async def _names(server: ConfigServer) -> list[ConfigKey]:
    """Return the names of all bundles. Other tasks run in between."""
    keys: list[ConfigKey] = []
    for backend in server.backends:
        async for key in Bundles(backend).names():
            keys.append(key)
            if len(keys) % _STEP == 0:
                await asyncio.sleep(0)
    return keys


def _counts(keys: Sequence[ConfigKey], default_label: str) -> list[str]:
    return [
        f"  bundles       {len(keys)}",
        f"  applications  {_some(key.application for key in keys)}",
        f"  profiles      {_some(key.profile for key in keys)}",
        f"  labels        {_labels(keys, default_label)}",
    ]


def _metrics_urls(settings: ServerSettings) -> list[str]:
    urls = [f"http://{settings.metrics_listen}"] if settings.metrics_listen else []
    if settings.metrics:
        urls.insert(0, url_of(settings).removesuffix(settings.base_path))
    return [f"{url}/metrics" for url in urls]


def _curl_options(settings: ServerSettings) -> str:
    """Return the options of curl for a credential, with words in place of the secrets."""
    if not needs_credential(settings):
        return ""
    shared = credential_of(settings)
    is_basic = shared is not None and shared.scheme == "basic"
    return " -u 'NAME:PASSWORD'" if is_basic else " -H 'Authorization: Bearer TOKEN'"


def _labels(keys: Sequence[ConfigKey], default: str) -> str:
    unused = "" if not keys or any(key.label == default for key in keys) else ", which has none"
    return f"{_some(key.label for key in keys)} (default: {default}{unused})"


def _examples(keys: Sequence[ConfigKey], default: str) -> list[ConfigKey]:
    """Return some bundles to try, those with the default label first."""
    keys = heapq.nsmallest(
        _MAX_EXAMPLES,
        keys,
        key=lambda one: (one.label != default, one.application == SHARED_APPLICATION),
    )
    return [replace(key, profile=DEFAULT_PROFILE) if key.is_base else key for key in keys]


def _path(key: ConfigKey, default: str) -> str:
    names = [key.application, key.profile, *([] if key.label == default else [key.label])]
    return "/".join(quote(encode_slashes(name)) for name in names)


def _some(names: Iterable[str]) -> str:
    known = sorted(set(names))
    shown = ", ".join(known[:_MAX_NAMES]) or "none"
    rest = len(known) - _MAX_NAMES
    return f"{shown}, and {rest} more" if rest > 0 else shown
