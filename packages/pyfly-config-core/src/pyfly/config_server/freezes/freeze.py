"""`Freeze`, and the text that holds the freezes of a store. Pure.

    {
      "freezes": [
        {
          "id": "k3vq7a",
          "on": "*/*/main",
          "reason": "release 1.4",
          "by": "ada",
          "at": "2026-11-27T19:00:00Z",
          "until": "2026-11-28T08:00:00Z"
        }
      ]
    }

`by` and `until` may be missing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from pyfly.config_core import ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_core.limits import MAX_AUTHOR_LENGTH, MAX_DOCUMENT_BYTES
from pyfly.config_server.access import BundlePattern

__all__ = ["MAX_REASON_LENGTH", "Freeze", "encode_freezes", "freeze_of", "parse_freezes"]

MAX_REASON_LENGTH: Final = 500
"""Characters of the reason of a freeze."""

_FIRST_YEAR: Final = 1000
"""The first one that is written with four digits everywhere."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_KEYS: Final = frozenset({"id", "on", "reason", "by", "at", "until"})
_REQUIRED: Final = frozenset({"id", "on", "reason", "at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """One freeze.

    Raises:
        ConfigFormatError: The id, the reason or the name is not acceptable, or a time has no
            offset or is not in the years 1000 to 9999 of UTC.
    """

    id: str
    """1 to 32 letters, digits, `_` and `-`; names the freeze where it is removed."""
    on: BundlePattern
    """The bundles that are not written; `*/*/*` for all, `*/*/main` for a label."""
    reason: str
    """1 to 500 printable characters, for everybody whose write is refused."""
    made_by: str | None = None
    """The name of the one who made it, at most 256 characters."""
    made_at: datetime
    until: datetime | None = None
    """The end; `None` if it lasts until somebody removes it."""

    def __post_init__(self) -> None:
        if _ID.fullmatch(self.id) is None:
            raise ConfigFormatError("the id of a freeze has 1 to 32 letters, digits, _ and -")
        _check_text("reason", self.reason, MAX_REASON_LENGTH)
        if self.made_by is not None:
            _check_text("author", self.made_by, MAX_AUTHOR_LENGTH)
        _check_moment(self.made_at)
        if self.until is not None:
            _check_moment(self.until)

    def is_in_force(self, now: datetime) -> bool:
        """True if the freeze has not ended at a time."""
        return self.until is None or now < self.until

    def covers(self, key: ConfigKey) -> bool:
        """True if the freeze is on this bundle."""
        return self.on.matches(key)


def freeze_of(freezes: Iterable[Freeze], key: ConfigKey, *, now: datetime) -> Freeze | None:
    """Return the freeze that keeps a bundle from being written; `None` if there is none.

    Of several it is the one that ends last, because writing is possible after that one only.
    """
    found = [one for one in freezes if one.is_in_force(now) and one.covers(key)]
    return max(found, key=_end, default=None)


def parse_freezes(text: str | None) -> tuple[Freeze, ...]:
    """Return the freezes in a text, in its order; none if there is no text.

    Raises:
        ConfigFormatError: The text is broken; says where and why.
    """
    if text is None:
        return ()
    try:
        document: object = json.loads(text, object_pairs_hook=_unique)
    except ConfigFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigFormatError("the text is not JSON") from error
    table = _table(document, "the text")
    rows = table.get("freezes")
    if not isinstance(rows, list) or set(table) != {"freezes"}:
        raise ConfigFormatError('the text is not {"freezes": [...]}')
    freezes = tuple(_read(row, n) for n, row in enumerate(cast("list[object]", rows)))
    if len({one.id for one in freezes}) < len(freezes):
        raise ConfigFormatError("two freezes have the same id")
    return freezes


def encode_freezes(freezes: Iterable[Freeze]) -> str:
    """Return the text that holds freezes.

    Raises:
        ConfigFormatError: It would be larger than 1 MiB.
    """
    rows: list[JsonValue] = [_row(one) for one in freezes]
    text = json.dumps({"freezes": rows}, indent=2) + "\n"
    if len(text) > MAX_DOCUMENT_BYTES:
        raise ConfigFormatError("there are too many freezes; remove those that have ended")
    return text


def _end(freeze: Freeze) -> float:
    return float("inf") if freeze.until is None else freeze.until.timestamp()


def _row(freeze: Freeze) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {"id": freeze.id, "on": str(freeze.on), "reason": freeze.reason}
    if freeze.made_by is not None:
        row["by"] = freeze.made_by
    row["at"] = _moment_text(freeze.made_at)
    if freeze.until is not None:
        row["until"] = _moment_text(freeze.until)
    return row


def _read(value: object, number: int) -> Freeze:
    place = f"freezes[{number}]"
    table = _table(value, place)
    unknown, missing = sorted(table.keys() - _KEYS), sorted(_REQUIRED - table.keys())
    if unknown or missing:
        wrong = "an unknown key" if unknown else f"no key '{missing[0]}'"
        raise ConfigFormatError(f"{place} has {wrong}; known are {', '.join(sorted(_KEYS))}")
    texts: dict[str, str] = {}
    for name, text in table.items():
        if not isinstance(text, str):
            raise ConfigFormatError(f"{place}.{name} is not a text")
        texts[name] = text
    try:
        until = texts.get("until")
        return Freeze(
            id=texts["id"],
            on=BundlePattern(texts["on"]),
            reason=texts["reason"],
            made_by=texts.get("by"),
            made_at=datetime.fromisoformat(texts["at"]),
            until=None if until is None else datetime.fromisoformat(until),
        )
    except ValueError as error:  # a ConfigFormatError is one, too
        raise ConfigFormatError(f"{place}: {error}") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object. A key given twice, as after a merge by hand, would hide freezes."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ConfigFormatError("a key is given twice in one object")
    return table


def _table(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigFormatError(f"{what} is not a JSON object")
    return cast("dict[str, object]", value)


def _check_text(what: str, text: str, longest: int) -> None:
    if not text.strip() or not text.isprintable() or len(text) > longest:
        raise ConfigFormatError(
            f"the {what} of a freeze must have 1 to {longest} printable characters, without line "
            "ends"
        )


def _check_moment(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ConfigFormatError("a time of a freeze needs an offset, such as Z or +01:00")
    try:
        is_shown = moment.astimezone(UTC).year >= _FIRST_YEAR
    except OverflowError:
        is_shown = False
    if not is_shown:
        raise ConfigFormatError("a time of a freeze must be in the years 1000 to 9999 of UTC")


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
