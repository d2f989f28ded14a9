"""Times and durations, as people write them on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pyfly.config_cli._errors import ArgumentError

_DURATION: Final = re.compile(r"([0-9]{1,5})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def present() -> datetime:
    """Return the time now, to the second, as files hold it."""
    return datetime.now(UTC).replace(microsecond=0)


def parse_duration(text: str, *, option: str) -> timedelta:
    """Return a duration such as `90d`, `12h` or `0s`.

    Raises:
        ArgumentError: The text is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ArgumentError(f"{option}: {text!r} is not a duration, such as 90d, 12h or 0s")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def parse_moment(text: str, *, option: str, now: datetime) -> datetime:
    """Return a future time: a duration from now, a date (its begin, UTC), or a time with an offset.

    Raises:
        ArgumentError: The text is none, or the time has passed.
    """
    if _DURATION.fullmatch(text):
        moment = now + parse_duration(text, option=option)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ArgumentError(
                f"{option}: {text!r} is not a time; write 90d, 2027-01-31 or 2027-01-31T12:00:00Z"
            ) from None
        if moment.tzinfo is None and len(text) > len("2027-01-31"):
            raise ArgumentError(f"{option}: {text!r} needs an offset, such as Z or +01:00")
        try:
            moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except OverflowError:
            raise ArgumentError(f"{option}: {text!r} is out of range in UTC") from None
    if moment <= now:
        raise ArgumentError(f"{option}: {text!r} has passed")
    return moment.replace(microsecond=0)


def shown_moment(moment: datetime | None) -> str | None:
    """Return a time as the access file and JSON have it."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
