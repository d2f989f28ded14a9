"""Trying everything that a server needs, without serving: `serve --check`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyfly.config_cli._serving.certificates import inspect_certificate
from pyfly.config_cli._serving.listeners import METRICS_ADVICE, resolve
from pyfly.config_cli._serving.setup import check_exposure, open_server
from pyfly.config_cli._settings.audit import check_audit
from pyfly.config_cli._settings.credentials import (
    authenticator_of,
    credentials_of,
    issuers_of,
)
from pyfly.config_cli._settings.encryption import encryption_of, keys_of
from pyfly.config_cli._settings.fields import split_address
from pyfly.config_cli._settings.metrics import check_metrics, has_metrics
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.tls import tls_files_of
from pyfly.config_cli._stores.location import find_store
from pyfly.config_cli._stores.misplaced_files import describe_misplaced_files
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_core import ConfigError
from pyfly.config_server.access.issued_tokens import load_keys
from pyfly.config_server.access.issuers import Issuer
from pyfly.config_server.storage import SupportsCheck, ability

_STORE_SECONDS: Final = 60.0
"""The time for a store to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What came of one check."""

    name: str
    """What was checked."""
    error: Exception | None = None
    """Why it failed; `None` if it did not."""
    detail: str = ""
    """What was found."""


async def check_server(settings: ServerSettings) -> list[CheckResult]:
    """Try everything that settings name; a check that fails hinders no other.

    The port is not tried, so that the check can run beside the server. Stores are opened as the
    server opens them, without the standby, and nothing is written by this function.
    """
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("address", _in_thread(_check_address, settings)),
        ("access", _in_thread(_check_access, settings)),
        ("TLS", _in_thread(_check_tls, settings)),
        ("keys", _in_thread(_check_keys, settings)),
        ("metrics", _in_thread(_check_metrics, settings)),
        ("credential", _in_thread(_check_credential, settings)),
        ("audit log", _in_thread(check_audit, settings)),
    ]
    results = [await _result(name, check) for name, check in checks]
    results += [await _check_issuer(issuer) for issuer in issuers_of(settings)]
    if not settings.store_urls:
        results.append(await _result("stores", _in_thread(_open_all, settings)))
    results += [await _check_store(url) for url in settings.store_urls]
    if all(one.error is None for one in results):
        results.append(await _result("options", _in_thread(_open_all, settings)))
    return results


def _in_thread(
    check: Callable[[ServerSettings], str], settings: ServerSettings
) -> Callable[[], Awaitable[str]]:
    return lambda: asyncio.to_thread(check, settings)


async def _result(name: str, check: Callable[[], Awaitable[str]]) -> CheckResult:
    try:
        return CheckResult(name=name, detail=await check())
    except Exception as error:  # noqa: BLE001 - a store of a third party may raise anything
        return CheckResult(name=name, error=error)


def _check_address(settings: ServerSettings) -> str:
    addresses = resolve(settings.host, settings.port)
    check_exposure(settings, addresses)
    if metrics := split_address(settings.metrics_listen):
        resolve(*metrics, advice=METRICS_ADVICE)
    return ", ".join(str(address[0]) for _, address in addresses) + f", port {settings.port}"


def _check_access(settings: ServerSettings) -> str:
    authenticator_of(settings)
    return credentials_of(settings)


def _check_tls(settings: ServerSettings) -> str:
    files = tls_files_of(settings)
    if files is None:
        return "none"
    info = inspect_certificate(files)
    days = (info.expires - datetime.now(UTC)).days
    return f"{', '.join(info.names)}; expires on {info.expires:%Y-%m-%d}, in {days} days"


def _check_keys(settings: ServerSettings) -> str:
    encryption_of(settings)
    return "configured" if keys_of(settings) is not None else "none"


def _check_metrics(settings: ServerSettings) -> str:
    check_metrics(settings)
    return "configured" if has_metrics(settings) else "none"


def _check_credential(settings: ServerSettings) -> str:
    authenticator_of(settings)  # reads the access file
    return credentials_of(settings)


async def _check_issuer(issuer: Issuer) -> CheckResult:
    async def check() -> str:
        keys = await asyncio.to_thread(load_keys, issuer)
        return f"{len(keys)} keys from {issuer.location}"

    return await _result(f"issuer {issuer.name}", check)


async def _check_store(url: str) -> CheckResult:
    try:
        name = f"store {find_store(url).shown}"
    except ConfigError as error:
        return CheckResult(name="store", error=error)

    async def check() -> str:
        async with asyncio.timeout(_STORE_SECONDS), open_store(url) as bundles:
            store = ability(bundles.backend, SupportsCheck)
            if store is not None:
                await store.check()
        return describe_misplaced_files(url) or "can be read"

    return await _result(name, check)


def _open_all(settings: ServerSettings) -> str:
    """Open the stores together: patterns and options must fit."""
    server = open_server(settings.model_copy(update={"standby": ""}))
    asyncio.run(server.aclose())
    return "fit together"


def first_error(results: Sequence[CheckResult]) -> Exception | None:
    """Return the error of the first check that failed; `None` if none did."""
    return next((one.error for one in results if one.error is not None), None)
