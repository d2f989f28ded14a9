"""Settings of the proxies in front of the server."""

from dataclasses import replace

from pyfly.config_cli._settings.fields import SettingsConflictError, escaped
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server import ProxyPolicy


def proxies_of(settings: ServerSettings) -> ProxyPolicy | None:
    """Return the proxies whose headers are believed; `None` if no proxy is trusted.

    Raises:
        SettingsConflictError: The settings do not go together, or one of them cannot be used.
    """
    header = settings.identity_header
    if header:
        _check_needs(settings)
    if not settings.trusted_proxies:
        return None
    try:
        policy = ProxyPolicy(trusted=settings.trusted_proxies)
    except ValueError as error:
        raise SettingsConflictError(f"{{trusted_proxies}}: {escaped(str(error))}") from error
    try:
        return replace(policy, identity_header=header or None)
    except ValueError as error:
        raise SettingsConflictError(f"{{identity_header}}: {escaped(str(error))}") from error


def _check_needs(settings: ServerSettings) -> None:
    if not settings.trusted_proxies:
        raise SettingsConflictError(
            "{identity_header} needs {trusted_proxies}: the addresses of the proxies that set it"
        )
    if not settings.access_file:
        raise SettingsConflictError(
            "{identity_header} needs {access_file}, whose principals have 'identities'"
        )
