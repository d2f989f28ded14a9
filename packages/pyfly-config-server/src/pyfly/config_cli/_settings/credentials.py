"""Access to the server: credentials, secret of webhooks, host names without a credential."""

import contextlib
import ipaddress
from dataclasses import replace
from pathlib import Path

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.fields import SettingsConflictError, escaped
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_core import ConfigError
from pyfly.config_server import (
    AccessFileAuthenticator,
    Authenticator,
    AuthenticatorGroup,
    FollowedAccessFile,
    HostPolicy,
    SharedCredential,
    WebhookSecret,
)
from pyfly.config_server.access.issuers import Issuer
from pyfly.config_server.audit import Audit


def credential_of(settings: ServerSettings) -> SharedCredential | None:
    """Return the shared credential; `None` if none is configured.

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


def authenticator_of(
    settings: ServerSettings, *, audit: Audit | None = None
) -> Authenticator | None:
    """Return what finds the principal of every request; `None` if no credential is configured.

    Args:
        settings: The settings.
        audit: Where the versions of the access file that come into force are recorded.

    Raises:
        SettingsConflictError: The settings do not go together, or one of them cannot be used.
        SettingsError: The access file cannot be used.
        WebTokensNotInstalledError: It names issuers, and their library is not installed.
    """
    credential = credential_of(settings)
    if not settings.access_file:
        return credential
    in_force = None if audit is None else audit.access_file_in_force
    names = {credential.name} if credential is not None else set[str]()
    try:
        file = FollowedAccessFile(
            Path(settings.access_file), reserved=frozenset(names), in_force=in_force
        )
    except ConfigError as error:
        raise SettingsError(str(error)) from error
    principals = AccessFileAuthenticator(file)
    return principals if credential is None else AuthenticatorGroup(credential, principals)


def issuers_of(settings: ServerSettings) -> list[Issuer]:
    """Return the issuers of JSON Web Tokens, none if the access file cannot be used."""
    if not settings.access_file:
        return []
    try:
        file = FollowedAccessFile(Path(settings.access_file))
    except ConfigError:
        return []
    return [*file.table.issuers.values()]


def needs_credential(settings: ServerSettings) -> bool:
    """True if a credential is configured, so that every request must have one."""
    return bool(settings.access_file) or credential_of(settings) is not None


def credentials_of(settings: ServerSettings) -> str:
    """Return the ways to sign in, as people read them: `bearer and access file access.toml`."""
    shared = credential_of(settings)
    ways = [] if shared is None else [shared.scheme]
    if settings.access_file:
        ways.append(f"access file {settings.access_file}")
    if settings.identity_header:
        ways.append(f"{settings.identity_header} of trusted proxies")
    return " and ".join(ways) or "none"


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
    if settings.insecure or needs_credential(settings):
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
