"""Lines of the audit log for freezes that a command makes or removes."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pyfly.config_cli._console.output import print_note
from pyfly.config_cli._errors import SettingsError
from pyfly.config_server.audit import Audit, AuditError, AuditEvent
from pyfly.config_server.freezes import Freeze

_PREFIX = "PYFLY_CONFIG_SERVER_"


def events_of(operation: str, freezes: Sequence[Freeze], *, author: str | None) -> list[AuditEvent]:
    """Return the event of each freeze that is about to be made or removed, still without a time.

    If it is not known which freezes these are, because their text is broken, it is one event.
    """
    first = AuditEvent(at=0.0, operation=operation, result="attempt", principal=author)
    return [_event_of(first, freeze) for freeze in freezes] or [first]


async def recorded(
    change: Callable[[], Awaitable[None]],
    events: Sequence[AuditEvent],
    *,
    settings: str | None,
) -> None:
    """Make a change with lines in the audit log of the server before and after it.

    The audit log is the file that the settings of the server name, if they name one.

    Args:
        change: Makes the change.
        events: The attempts.
        settings: The settings file; `None` for that of the environment.

    Raises:
        SettingsError: The attempt cannot be recorded; nothing was changed.
        ConfigError: As `change`.
    """
    audit = _open_audit(settings)
    if audit is None:
        return await change()
    try:
        try:
            for event in events:
                await audit.attempt(replace(event, at=time.time()))
        except AuditError as error:
            raise SettingsError(f"nothing was changed: {error}") from error
        try:
            await change()
        except BaseException:
            _note(audit, [replace(event, result="failed") for event in events])
            raise
        _note(audit, [replace(event, result="done") for event in events])
    finally:
        await audit.aclose()
    return None


def _note(audit: Audit, events: Sequence[AuditEvent]) -> None:
    for event in events:
        audit.note(replace(event, at=time.time()))


def _open_audit(settings_file: str | None) -> Audit | None:
    if settings_file is None and not any(name.startswith(_PREFIX) for name in os.environ):
        return None
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.audit import (  # noqa: PLC0415
        is_audited_to_output,
        open_audit,
    )
    from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings({} if settings_file is None else {"settings": settings_file})
    if is_audited_to_output(settings):
        print_note("the audit log is the standard output of the server; this change is not in it")
        return None
    return open_audit(settings)


def _event_of(event: AuditEvent, freeze: Freeze) -> AuditEvent:
    application, profile, label = str(freeze.on).split("/", 2)
    return replace(
        event,
        application=application,
        profile=profile,
        label=label,
        freeze=freeze.id,
        reason=freeze.reason,
    )
