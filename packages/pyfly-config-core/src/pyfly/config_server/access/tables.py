"""Reading tables of the access file: the right types, the known keys, errors that name the key."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import cast

from pyfly.config_core import ConfigFormatError

__all__ = ["TableReader"]


class TableReader:
    """Makes values of a document. A place is a key, such as `principals.orders.rules[0]`.

    All methods raise `ConfigFormatError`, with the place, the reason and no value.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def moment(self, table: Mapping[str, object], key: str, place: str) -> datetime | None:
        """Return a time with an offset; `None` if there is none."""
        moment = table.get(key)
        if moment is None:
            return None
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise self.error(
                f"{place}.{key}",
                "must be a time with an offset, without quotes, such as 2027-01-31T12:00:00Z",
            )
        try:
            moment.astimezone(UTC)  # as all show it
        except OverflowError:
            raise self.error(f"{place}.{key}", "is out of range in UTC") from None
        return moment

    def texts(self, value: object, place: str) -> Iterator[str]:
        """Yield the texts of a list."""
        for number, item in enumerate(self.list(value, place)):
            yield self.text(item, f"{place}[{number}]")

    def text(self, value: object, place: str) -> str:
        """Return a text."""
        if not isinstance(value, str):
            raise self.error(place, "must be a text")
        return value

    def list(self, value: object, place: str) -> list[object]:
        """Return a list."""
        if not isinstance(value, list):
            raise self.error(place, "must be a list")
        return cast("list[object]", value)

    def table(self, value: object, place: str) -> Mapping[str, object]:
        """Return a table."""
        if not isinstance(value, dict):
            raise self.error(place, "must be a table")
        return cast("dict[str, object]", value)

    def check_keys(
        self, table: Mapping[str, object], known: Mapping[str, object], place: str
    ) -> None:
        """Refuse keys that nobody knows, which are mistakes."""
        for key in table:
            if key not in known:
                shown = key if key.isprintable() else ascii(key)
                raise self.error(
                    f"{place}.{shown}" if place else shown,
                    f"there is no such key; known are: {', '.join(known)}",
                )

    def error(self, place: str, reason: str) -> ConfigFormatError:
        """Return the error of a place."""
        return ConfigFormatError(f"{place}: {reason}" if place else reason, where=self._where)
