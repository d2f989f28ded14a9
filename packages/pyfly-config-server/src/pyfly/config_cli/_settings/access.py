"""Access to the server: credential, secret of webhooks, host names without a credential."""

import contextlib
import ipaddress
from dataclasses import replace

from pyfly.config_cli._settings.fields import SettingsConflictError, escaped
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server import HostPolicy, SharedCredential, WebhookSecret


def credential_of(settings: ServerSettings) -> SharedCredential | None:
    """Return the credential that every request must carry; `None` if none is configured.

    Raises:
        SettingsConflictError: The settings do not go together, or one of them cannot be used.
    """
    username, password, token = settings.username, settings.password, settings.token
    if token is not None and (username is not None or password is not None):
        raise SettingsConflictError("set either {token} or a user name and a password, not both")
    if (username is None) != (password is None):
        raise SettingsConflictError("{username} and {password} belong together")
    try:
        if token is not None:
            return SharedCredential.bearer(token.get_secret_value())
        if username is not None and password is not None:
            return SharedCredential.basic(
                username=username.get_secret_value(), password=password.get_secret_value()
            )
    except ValueError as error:
        names = "{token}" if token is not None else "{username} and {password}"
        raise SettingsConflictError(f"{names} cannot be used: {escaped(str(error))}") from error
    return None


def webhook_secret_of(settings: ServerSettings) -> WebhookSecret | None:
    """Return the secret of webhooks; `None` if none is configured.

    Raises:
        SettingsConflictError: It cannot be used.
    """
    secret = settings.monitor_secret
    if secret is None:
        return None
    try:
        return WebhookSecret(secret.get_secret_value())
    except ValueError as error:
        message = f"{{monitor_secret}} cannot be used: {escaped(str(error))}"
        raise SettingsConflictError(message) from error


def host_policy_of(settings: ServerSettings) -> HostPolicy | None:
    """Return the names by which the server may be called; `None` if every name is right.

    Raises:
        SettingsConflictError: A name is not a host name.
    """
    try:
        policy = HostPolicy(allowed=frozenset(settings.allowed_hosts))
    except ValueError as error:
        raise SettingsConflictError(f"{{allowed_hosts}}: {escaped(str(error))}") from error
    if settings.insecure or credential_of(settings) is not None:
        return None
    with contextlib.suppress(ValueError):  # what cannot be a name is reported when it is resolved
        if not _is_address(settings.host):  # requests by that name come from this machine, too
            listening = HostPolicy(allowed=frozenset({settings.host}))
            policy = replace(policy, allowed=policy.allowed | listening.allowed)
    return policy


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
