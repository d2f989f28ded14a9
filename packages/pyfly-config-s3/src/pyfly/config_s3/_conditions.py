"""Detecting the conditions of writes that a store supports, with a temporary probe object."""

import contextlib
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Final

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    UnsupportedOperationError,
)
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._failures import ConditionFailedError
from pyfly.config_s3._objects import Condition, Match

PROBE_NAME: Final = ".pyfly-config-probe-"
"""The prefix of the names of probe objects. They are not bundles."""

_LOG: Final = logging.getLogger(__name__)
_WRONG: Final = "0" * 32
_CREATES: Final = ("If-None-Match", "saves that expect absence")
_REPLACES: Final = ("If-Match", "saves that expect a version")
_DELETES: Final = ("If-Match of removals", "deleting what is at a version")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionSupport:
    """The conditions that a store supports."""

    creates: bool
    """`If-None-Match: *` keeps an object from being overwritten."""
    replaces: bool
    """`If-Match` lets the stored object be replaced, and no other."""
    deletes: bool
    """`If-Match` lets the stored object be removed, and no other."""
    quoted: bool
    """True if entity tags are written in quotes."""

    def missing(self) -> list[tuple[str, str]]:
        """Return every unsupported header, with the operations that are refused therefore."""
        honoured = {_CREATES: self.creates, _REPLACES: self.replaces, _DELETES: self.deletes}
        return [row for row, is_honoured in honoured.items() if not is_honoured]

    def create(self) -> Condition:
        """Return the condition of a write that creates.

        Raises:
            UnsupportedOperationError: The store does not honour it.
        """
        if not self.creates:
            raise _unsupported(*_CREATES)
        return "absent"

    def replace(self, etag: str) -> Condition:
        """Return the condition of a write that replaces.

        Raises:
            UnsupportedOperationError: The store does not honour it.
        """
        if not self.replaces:
            raise _unsupported(*_REPLACES)
        return Match(etag=etag, quoted=self.quoted)

    def delete(self, etag: str) -> Match:
        """Return the condition of a removal.

        Raises:
            UnsupportedOperationError: The store does not honour it.
        """
        if not self.deletes:
            raise _unsupported(*_DELETES)
        return Match(etag=etag, quoted=self.quoted)


def _unsupported(header: str, ability: str) -> UnsupportedOperationError:
    return UnsupportedOperationError(
        f"S3ConfigBackend on this bucket, whose store does not honour {header},", ability
    )


class ConditionDetector:
    """Detects the supported conditions, once in a process. Safe for use from several threads.

    Args:
        bucket: The bucket for the probe object.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._support: ConditionSupport | None = None
        self._probing = threading.Lock()
        self._was_tried = False

    def detect(self, *, deadline: float) -> ConditionSupport:
        """Return the supported conditions.

        Raises:
            BackendAccessDeniedError: Nothing may be written below the prefix.
            BackendUnavailableError: The store did not answer; the next call tries again.
        """
        if not self._probing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BackendUnavailableError("the store did not answer in time")
        try:
            if self._support is None:
                self._was_tried = True
                self._support = probe(self._bucket, deadline=deadline)
                for header, refused in self._support.missing():
                    _LOG.warning(
                        "the store of bucket '%s' does not honour %s; refused: %s",
                        self._bucket.name,
                        header,
                        refused,
                    )
            return self._support
        finally:
            self._probing.release()

    def try_once(self, *, deadline: float) -> None:
        """Detect the conditions, once. A failure is logged, because a bucket may be read-only."""
        if self._was_tried:
            return
        try:
            self.detect(deadline=deadline)
        except BackendAccessDeniedError:
            _LOG.info("nothing may be written in bucket '%s'; it can be read", self._bucket.name)
        except BackendError as error:
            _LOG.warning(
                "the conditions of bucket '%s' are tried again before a save: %s",
                self._bucket.name,
                error,
            )


def probe(bucket: Bucket, *, deadline: float) -> ConditionSupport:
    """Return the conditions that the store supports in this bucket.

    Raises:
        BackendAccessDeniedError: Nothing may be written below the prefix.
        BackendUnavailableError: The store did not answer.
    """
    return _Probe(bucket, deadline).run()


class _Probe:
    def __init__(self, bucket: Bucket, deadline: float) -> None:
        self._bucket = bucket
        self._deadline = deadline
        self._name = PROBE_NAME + secrets.token_hex(8)
        self._versions: list[str] = []

    def run(self) -> ConditionSupport:
        try:
            created = self._write(b"1", "absent")
            etag = created or self._write(b"1", None) or ""
            creates = created is not None and self._write(b"2", "absent") is None
            quoted = self._form_of_replacing(etag)
            return ConditionSupport(
                creates=creates,
                replaces=quoted is not None,
                deletes=self._deletes(quoted=quoted is not False),
                quoted=quoted is not False,
            )
        finally:
            self._clean_up()

    def _form_of_replacing(self, etag: str) -> bool | None:
        """Return true if tags must be quoted, `None` if the condition does not work."""
        if self._write(b"3", Match(etag=_WRONG)) or self._write(
            b"3", Match(etag=_WRONG, quoted=False)
        ):
            return None
        for quoted in (True, False):
            if self._write(b"4", Match(etag=etag, quoted=quoted)):
                return quoted
        return None

    def _deletes(self, *, quoted: bool) -> bool:
        found = self._bucket.describe(self._name, version_id=None, deadline=self._deadline)
        if found is None:
            return False
        wrong = self._remove(Match(etag=_WRONG, quoted=quoted))
        return not wrong and self._remove(Match(etag=found.etag, quoted=quoted))

    def _write(self, data: bytes, condition: Condition) -> str | None:
        """Write the probe object; return its entity tag, `None` if the store refuses."""
        try:
            written = self._bucket.write(
                self._name, data, metadata={}, condition=condition, deadline=self._deadline
            )
        except (ConditionFailedError, UnsupportedOperationError):
            return None
        self._note(written.version_id)
        return written.etag

    def _remove(self, condition: Match | None) -> bool:
        try:
            mark = self._bucket.remove(self._name, condition=condition, deadline=self._deadline)
        except (ConditionFailedError, UnsupportedOperationError):
            return False
        self._note(mark)
        return True

    def _note(self, version: str | None) -> None:
        if version is not None and version != "null":
            self._versions.append(version)

    def _clean_up(self) -> None:
        """Remove the probe object and all its versions, if that is permitted."""
        with contextlib.suppress(BackendError):
            self._remove(None)
            for version in self._versions:
                self._bucket.remove(self._name, version_id=version, deadline=self._deadline)
