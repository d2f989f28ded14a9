"""Freezes as documents and rows of a table."""

from datetime import datetime
from typing import Final

from pyfly.config_cli._access.moments import shown_moment
from pyfly.config_core import JsonValue
from pyfly.config_server.freezes import Freeze

HEADINGS: Final = ("ID", "STATE", "ON", "UNTIL", "BY", "SINCE", "REASON")


def state_of(freeze: Freeze, now: datetime) -> str:
    """Return `in force` or `ended`."""
    return "in force" if freeze.is_in_force(now) else "ended"


def freeze_row(freeze: Freeze, now: datetime) -> tuple[str, ...]:
    """Return the row below `HEADINGS`."""
    return (
        freeze.id,
        state_of(freeze, now),
        str(freeze.on),
        shown_moment(freeze.until) or "removed",
        freeze.made_by or "-",
        shown_moment(freeze.made_at) or "-",
        freeze.reason,
    )


def freeze_document(freeze: Freeze, now: datetime) -> dict[str, JsonValue]:
    """Return a freeze for programs."""
    return {
        "id": freeze.id,
        "state": state_of(freeze, now),
        "on": str(freeze.on),
        "reason": freeze.reason,
        "by": freeze.made_by,
        "at": shown_moment(freeze.made_at),
        "until": shown_moment(freeze.until),
    }
