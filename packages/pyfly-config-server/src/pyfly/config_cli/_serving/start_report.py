"""The report at the start of a server: its stores, their content, and a request to try."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from pyfly.config_cli._settings.access import credential_of
from pyfly.config_cli._settings.encryption import keys_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._stores.location import StoreLocation
from pyfly.config_core import SHARED_APPLICATION, ConfigKey, encode_slashes
from pyfly.config_server import Bundles, ConfigServer, SharedCredential

_MAX_NAMES: Final = 12


def url_of(settings: ServerSettings) -> str:
    """Return the URL of the documents.

    >>> url_of(ServerSettings(host="::1", base_path=""))
    'http://[::1]:8888'
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}{settings.base_path}"


async def make_report(
    server: ConfigServer, settings: ServerSettings, stores: Sequence[StoreLocation]
) -> str:
    """Return a text about what is served and where; close the server.

    A broken bundle is named; the rest is served.

    Raises:
        ConfigError: A store cannot be used.
    """
    try:
        await server.check()
        entries = [
            entry for backend in server.backends async for entry in Bundles(backend).entries()
        ]
    finally:
        await server.aclose()
    keys = [entry.key for entry in entries]
    credential, url = credential_of(settings), url_of(settings)
    lines = [
        f"Serving {', '.join(store.shown for store in stores)} at {url}",
        f"  bundles       {len(keys)}",
        f"  applications  {_some(key.application for key in keys)}",
        f"  profiles      {_some(key.profile for key in keys)}",
        f"  labels        {_labels(keys, server.default_label)}",
        f"  credential    {credential.scheme if credential else 'none'}",
    ]
    if keys_of(settings) is not None:
        decrypts = ", answers /decrypt" if server.options.encryption.answers_decrypt else ""
        lines.append(f"  encryption    configured{decrypts}")
    lines += [f"  unreadable    {entry.key}: {entry.error}" for entry in entries if entry.error]
    if readable := [entry.key for entry in entries if not entry.error]:
        path = _example(readable, server.default_label)
        lines.append(f"Try: curl {url}/{path}{_curl_options(credential)}")
    return "\n".join(lines)


def _curl_options(credential: SharedCredential | None) -> str:
    """Return the options of curl for a credential, with words in place of the secrets."""
    if credential is None:
        return ""
    is_basic = credential.scheme == "basic"
    return " -u 'NAME:PASSWORD'" if is_basic else " -H 'Authorization: Bearer TOKEN'"


def _labels(keys: Sequence[ConfigKey], default: str) -> str:
    unused = "" if not keys or any(key.label == default for key in keys) else ", which has none"
    return f"{_some(key.label for key in keys)} (default: {default}{unused})"


def _example(keys: Sequence[ConfigKey], default: str) -> str:
    """Return the path of a request for a stored bundle, with the default label if possible."""
    key = min(keys, key=lambda one: (one.label != default, one.application == SHARED_APPLICATION))
    names = [key.application, key.profile, *([] if key.label == default else [key.label])]
    return "/".join(quote(encode_slashes(name)) for name in names)


def _some(names: Iterable[str]) -> str:
    known = sorted(set(names))
    shown = ", ".join(known[:_MAX_NAMES]) or "none"
    rest = len(known) - _MAX_NAMES
    return f"{shown}, and {rest} more" if rest > 0 else shown
