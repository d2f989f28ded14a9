"""The settings of the audit log."""

from pathlib import Path
from typing import Final

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.fields import SettingsConflictError
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server.audit import (
    Audit,
    AuditError,
    AuditFile,
    AuditWriter,
    StandardOutput,
    check_audit_file,
)

_STANDARD_OUTPUT: Final = frozenset({"-", "stdout"})


def is_audited_to_output(settings: ServerSettings) -> bool:
    """True if the audit log is standard output, so that nothing else belongs there."""
    return settings.audit_log in _STANDARD_OUTPUT


def open_audit(settings: ServerSettings) -> Audit | None:
    """Open the audit log; `None` if there is none.

    Raises:
        SettingsError: It cannot be opened.
    """
    if not settings.audit_log:
        return None
    try:
        output = (
            StandardOutput()
            if is_audited_to_output(settings)
            else AuditFile(Path(settings.audit_log))
        )
    except AuditError as error:
        raise SettingsError(str(error)) from error
    return Audit(AuditWriter(output), reads=settings.audit_reads)


def check_audit(settings: ServerSettings) -> str:
    """Check that the audit log can be opened, without creating it; return where it is.

    Raises:
        SettingsError: It cannot.
    """
    if not settings.audit_log:
        return "none"
    if is_audited_to_output(settings):
        return "standard output"
    try:
        check_audit_file(Path(settings.audit_log))
    except AuditError as error:
        raise SettingsError(str(error)) from error
    return settings.audit_log


def check_audit_conflicts(settings: ServerSettings) -> None:
    """Refuse `audit-reads` without an audit log.

    Raises:
        SettingsConflictError: It has no log.
    """
    if settings.audit_reads and not settings.audit_log:
        raise SettingsConflictError("{audit_reads} needs {audit_log}")
