"""Which kept results are known to be current, because the store has reported no change of them."""

from collections.abc import Sequence
from typing import Final

from pyfly.config_server.live.standby_records import RecordKey
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    ChangeBatch,
    EverythingChange,
    LabelChange,
    ResourceChange,
)

__all__ = ["CurrentResults"]

_MAX_KEYS: Final = 10_000
"""The largest number of results; those that were read first are dropped."""
_PATIENCE_SECONDS: Final = 60.0


class CurrentResults:
    """Follows looks at the changes of one store, each of which continues the one before.

    A result is current if it was read after the first of them and no later one names it. Times are
    seconds of the monotonic clock, except `looked_at`.
    """

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._since = float("inf")
        self._continued = float("-inf")
        self._keys: dict[RecordKey, bool] = {}
        self.looked_at = 0.0
        """The beginning of the last look, in seconds since 1970."""

    def look(
        self, cursor: str | None, batch: ChangeBatch, *, began_at: float, ended: float
    ) -> None:
        """Take a look that was answered.

        One that does not continue the last one is of somebody else and ignored. If none continues
        it for a minute, the next one starts anew.

        Args:
            cursor: The cursor that was given.
            batch: The answer.
            began_at: When it began, in seconds since 1970.
            ended: When it ended.
        """
        if self._cursor is None or ended > self._continued + _PATIENCE_SECONDS:
            self._keys.clear()
            self._since = ended
        elif cursor != self._cursor:
            return
        self._continued = ended
        self._cursor = batch.cursor
        self.looked_at = began_at
        if batch.changes:
            touched = _Touched(batch.changes)
            for key in [key for key in self._keys if touched.includes(key)]:
                del self._keys[key]

    def read(self, key: RecordKey, *, began: float) -> None:
        """Note that a result was read, which is not on the disk yet."""
        self._keys.pop(key, None)
        if began >= self._since:
            self._keys[key] = False
            if len(self._keys) > _MAX_KEYS:
                del self._keys[next(iter(self._keys))]

    def written(self, key: RecordKey) -> None:
        """Note that the last result that was read is on the disk."""
        if key in self._keys:
            self._keys[key] = True

    def discard(self, key: RecordKey) -> None:
        """Note that a result is not known any more."""
        self._keys.pop(key, None)

    def keys(self) -> list[RecordKey]:
        """Return the results on the disk that were current at `looked_at`."""
        return [key for key, is_written in self._keys.items() if is_written]


class _Touched:
    """The results that changes may have changed."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._everything = False
        self._labels: set[str] = set()
        self._keys: set[RecordKey] = set()
        self._bundles: set[tuple[str, ...]] = set()
        self._with_files: set[str] = set()
        for change in changes:
            match change:
                case EverythingChange():
                    self._everything = True
                case LabelChange(label=label):
                    self._labels.add(label)
                case ResourceChange(label=label, path=path):
                    self._keys.add(RecordKey.of_resource(label, path))
                    self._with_files.add(label)
                case BundleChange(key=key):
                    self._keys |= {RecordKey.of_bundle(key), RecordKey.of_label(key.label)}
                    self._bundles.add(RecordKey.of_bundle(key).names)

    def includes(self, key: RecordKey) -> bool:
        if self._everything or key in self._keys:
            return True
        if self._labels and not self._labels.isdisjoint(key.labels):
            return True
        if key.kind == "found" and not self._with_files.isdisjoint(key.labels):
            return True
        return key.kind == "snapshot" and not self._bundles.isdisjoint(key.bundles)
