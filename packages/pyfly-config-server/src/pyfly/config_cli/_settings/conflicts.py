"""Settings that do not go together."""

from pyfly.config_cli._settings.audit import check_audit_conflicts
from pyfly.config_cli._settings.credentials import credential_of, host_policy_of, webhook_secret_of
from pyfly.config_cli._settings.encryption import keys_of
from pyfly.config_cli._settings.fields import SettingsConflictError
from pyfly.config_cli._settings.health import health_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.proxies import proxies_of
from pyfly.config_cli._settings.tls import tls_files_of


def check_conflicts(settings: ServerSettings) -> None:
    """Refuse settings that cannot be used together, each of them being right alone.

    Raises:
        SettingsConflictError: They cannot.
    """
    keys_of(settings)
    health_of(settings)
    credential_of(settings)
    host_policy_of(settings)
    proxies_of(settings)
    webhook_secret_of(settings)
    tls_files_of(settings)
    check_audit_conflicts(settings)
    if settings.backend and settings.store:
        raise SettingsConflictError("set either {backend} or {store}, not both")
    if settings.workers > 1 and any(url.startswith("memory:") for url in settings.store_urls):
        place = "{store}" if settings.store else "{backend}"
        raise SettingsConflictError(
            f"{place}: 'memory:' belongs to one process; serve it with one worker"
        )
