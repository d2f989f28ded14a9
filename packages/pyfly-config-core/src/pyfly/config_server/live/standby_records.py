"""The records of a standby: results of a store as bytes, with an identity and a checksum.

A record has four parts:

    pyfly-config-standby 1 sha256=<digest of everything below this line>
    ["<store>", "<kind>", "<name>", …]
    present, absent or unknown
    <the payload>
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_server.storage import RequestedNames

__all__ = [
    "MAX_HEAD_BYTES",
    "Record",
    "RecordKey",
    "State",
    "decode_key",
    "decode_record",
    "encode_record",
    "guarded",
]


_FIRST: Final = re.compile(rb"pyfly-config-standby ([0-9]+) sha256=([0-9a-f]{64})")
_FORMAT: Final = b"1"
_NAMES_OF_BUNDLE: Final = 3
MAX_HEAD_BYTES: Final = 262_144
"""The first lines of a record, up to its payload, are shorter."""

_Result = TypeVar("_Result")

State: TypeAlias = Literal["present", "absent", "unknown"]
"""A result is unknown when it was changed after it was read."""
_STATES: Final[Mapping[bytes, State]] = {
    b"present": "present",
    b"absent": "absent",
    b"unknown": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKey:
    """The call that gave a result."""

    kind: Literal["bundle", "found", "label", "resource", "snapshot"]
    names: tuple[str, ...]
    """The arguments of the call; three names for each bundle."""

    @classmethod
    def of_bundle(cls, key: ConfigKey) -> "RecordKey":
        """Return the key for one bundle."""
        return cls(kind="bundle", names=(key.application, key.profile, key.label))

    @classmethod
    def of_label(cls, label: str) -> "RecordKey":
        """Return the key for the existence of a label."""
        return cls(kind="label", names=(label,))

    @classmethod
    def of_resource(cls, label: str, path: str) -> "RecordKey":
        """Return the key for a plain file."""
        return cls(kind="resource", names=(label, path))

    @classmethod
    def of_snapshot(cls, keys: Sequence[ConfigKey]) -> "RecordKey":
        """Return the key for a snapshot of these bundles, in this order."""
        names = (name for key in keys for name in cls.of_bundle(key).names)
        return cls(kind="snapshot", names=tuple(names))

    @classmethod
    def of_request(cls, keys: Sequence[ConfigKey], asked: RequestedNames) -> "RecordKey":
        """Return the key for these bundles in a request: a snapshot, with the request in front."""
        label = keys[0].label if keys else ""
        request = (",".join(asked.applications), ",".join(asked.profiles), label)
        return cls(kind="snapshot", names=(*request, *cls.of_snapshot(keys).names))

    @classmethod
    def of_found(
        cls, label: str, paths: Sequence[str], asked: RequestedNames, *, last_first: bool
    ) -> "RecordKey":
        """Return the key for a plain file that is looked for in several directories."""
        request = (",".join(asked.applications), ",".join(asked.profiles))
        order = "last" if last_first else "first"
        return cls(kind="found", names=(label, *request, order, *paths))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the call names."""
        if self.kind in {"bundle", "snapshot"}:
            return self.names[_NAMES_OF_BUNDLE - 1 :: _NAMES_OF_BUNDLE]
        return self.names[:1]

    @property
    def bundles(self) -> Iterator[tuple[str, ...]]:
        """The names of each bundle of a snapshot."""
        for start in range(0, len(self.names), _NAMES_OF_BUNDLE):
            yield self.names[start : start + _NAMES_OF_BUNDLE]

    def depends_on(self, key: ConfigKey) -> bool:
        """True if this is a snapshot with a bundle."""
        if self.kind != "snapshot" or key.application not in self.names:
            return False
        return self.of_bundle(key).names in self.bundles

    def file_name(self, store: str) -> str:
        """Return the name of the file for the result of a store."""
        digest = hashlib.sha256(_line(store, self)).hexdigest()
        return f"{digest}.{'snapshot' if self.kind == 'snapshot' else 'record'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The content of one file."""

    key: RecordKey
    state: State
    payload: bytes = field(default=b"", repr=False)
    """Empty unless the state is `present`."""


def encode_record(store: str, record: Record) -> bytes:
    """Return the bytes of a file.

    Args:
        store: The identity of the store.
        record: Its content.
    """
    content = b"%s\n%s\n%s" % (_line(store, record.key), record.state.encode(), record.payload)
    digest = hashlib.sha256(content).hexdigest().encode()
    return b"pyfly-config-standby %s sha256=%s\n%s" % (_FORMAT, digest, content)


def decode_record(data: bytes, store: str) -> Record:
    """Return the record in the bytes of a file.

    Raises:
        ConfigFormatError: The bytes are not a whole record, have another format, or belong to
            another store. The error shows no value.
    """
    content = _checked(data)
    line, _, rest = content.partition(b"\n")
    state, _, payload = rest.partition(b"\n")
    owner, key = guarded(lambda: _read_key(line))
    if owner != store:
        raise ConfigFormatError("belongs to another store")
    return Record(key=key, state=guarded(lambda: _STATES[state]), payload=payload)


def decode_key(data: bytes) -> RecordKey:
    """Return the key in the first `MAX_HEAD_BYTES` bytes of a file, which need not be whole.

    Raises:
        ConfigFormatError: There is none.
    """
    _, _, content = data.partition(b"\n")
    line, _, _ = content.partition(b"\n")
    return guarded(lambda: _read_key(line))[1]


def _line(store: str, key: RecordKey) -> bytes:
    return json.dumps([store, key.kind, *key.names]).encode()


def _checked(data: bytes) -> bytes:
    """Return everything below the first line, which must be right."""
    first, newline, content = data.partition(b"\n")
    found = _FIRST.fullmatch(first)
    if found is None or not newline:
        raise ConfigFormatError("is damaged: its first line is not that of a record")
    if found[1] != _FORMAT:
        raise ConfigFormatError("has a format that this version cannot read")
    if hashlib.sha256(content).hexdigest().encode() != found[2]:
        raise ConfigFormatError("is damaged: it does not match its checksum")
    return content


def _read_key(line: bytes) -> tuple[str, RecordKey]:
    store, kind, *names = json.loads(line)
    return store, RecordKey(kind=kind, names=tuple(names))


def guarded(read: Callable[[], _Result]) -> _Result:
    """Return a result of reading what another version of this program may have written.

    Raises:
        ConfigFormatError: It cannot be read.
    """
    try:
        return read()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigFormatError("has content that this version cannot read") from error
