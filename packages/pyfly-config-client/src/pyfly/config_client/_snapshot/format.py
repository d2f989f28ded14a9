"""The last good answer as bytes that prove themselves. Pure functions.

pyfly-config-snapshot 1 sha256=<digest of everything behind this line>
{"identity": …, "saved_at": …, "url": …, …}
<the body of the answer, or its cipher text>
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, Protocol, cast

from pyfly.config_client._identity import Identity
from pyfly.config_client.errors import SnapshotError

_FIRST: Final = re.compile(rb"pyfly-config-snapshot ([0-9]+) sha256=([0-9a-f]{64})")
_FORMAT: Final = b"1"
_HEADER: Final[Mapping[str, Any]] = {
    "identity": dict,
    "saved_at": int | float,
    "url": str,
    "label": str | None,
    "etag": str | None,
    "encrypted": bool,
}
"""The fields of the second line and their types."""
_LATEST: Final = 2**36
"""Seconds since 1970; a time that every system can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A verified answer and where it came from."""

    body: bytes = field(repr=False)
    """The environment document as the server sent it."""
    url: str
    """Without credentials."""
    saved_at: float
    """Seconds since 1970, by the clock of this machine."""
    label: str | None = None
    """The one of the labels asked for that the server knew."""
    etag: str | None = None
    origin: Literal["server", "snapshot", "baseline"] = "server"
    """Where it was just read from; not written."""


class SnapshotCipher(Protocol):
    """How the body of a snapshot is kept from others who can read the disk."""

    def encrypt(self, body: bytes, context: bytes) -> bytes:
        """Return the cipher text, bound to `context`."""
        ...

    def decrypt(self, body: bytes, context: bytes) -> bytes:
        """Return the body, or raise `SnapshotError`."""
        ...


def encode_snapshot(snapshot: Snapshot, identity: Identity, cipher: SnapshotCipher | None) -> bytes:
    """Return the bytes of a file."""
    header = {
        "identity": asdict(identity),
        "saved_at": snapshot.saved_at,
        "url": snapshot.url,
        "label": snapshot.label,
        "etag": snapshot.etag,
        "encrypted": cipher is not None,
    }
    line = json.dumps(header, sort_keys=True).encode()
    body = snapshot.body if cipher is None else cipher.encrypt(snapshot.body, line)
    content = line + b"\n" + body
    digest = hashlib.sha256(content).hexdigest().encode()
    return b"pyfly-config-snapshot %s sha256=%s\n%s" % (_FORMAT, digest, content)


def decode_snapshot(data: bytes, identity: Identity, cipher: SnapshotCipher | None) -> Snapshot:
    """Read the bytes of a file.

    Raises:
        SnapshotError: They are not a whole snapshot, not of this identity, or cannot be
            decrypted. Says why, shows no value.
    """
    first, newline, content = data.partition(b"\n")
    found = _FIRST.fullmatch(first)
    if found is None or not newline:
        raise SnapshotError("is damaged: it does not begin as a snapshot does")
    if found[1] != _FORMAT:
        raise SnapshotError("is of a format that this version does not read")
    if hashlib.sha256(content).hexdigest().encode() != found[2]:
        raise SnapshotError("is damaged: it does not match its checksum")
    line, _, body = content.partition(b"\n")
    header = _read_header(line)
    if header["identity"] != json.loads(json.dumps(asdict(identity))):
        raise SnapshotError("belongs to another application, profile, label or server")
    if header["encrypted"] != (cipher is not None):
        state = "is encrypted, and no key is given" if cipher is None else "is not encrypted"
        raise SnapshotError(state)
    return Snapshot(
        body=body if cipher is None else cipher.decrypt(body, line),
        url=header["url"],
        saved_at=header["saved_at"],
        label=header["label"],
        etag=header["etag"],
        origin="snapshot",
    )


def _read_header(line: bytes) -> Mapping[str, Any]:
    """Return the second line; another version of this package may have written it."""
    try:
        header: object = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    fields = cast("dict[str, Any]", header) if isinstance(header, dict) else {}
    for name, kind in _HEADER.items():
        if name not in fields or not isinstance(fields[name], kind):
            raise SnapshotError(f"is damaged: its second line has no usable {name!r}")
    if not 0 <= fields["saved_at"] < _LATEST:
        raise SnapshotError("is damaged: its time cannot be")
    return fields


def same_content(one: Snapshot, other: Snapshot) -> bool:
    """True if two snapshots differ in their time only."""
    return replace(one, saved_at=0.0, origin="server") == replace(
        other, saved_at=0.0, origin="server"
    )


def file_stem(identity: Identity) -> str:
    """Return the name of the files of an identity, readable and without slashes.

    >>> file_stem(Identity(servers=("a",), application="x/y", profiles="p,q", labels=(None,)))
    'x_y-p_q-b63a4d76d7c65fda'
    """
    names = re.sub(r"[^A-Za-z0-9.-]", "_", f"{identity.application}-{identity.profiles}")
    digest = hashlib.sha256(json.dumps(asdict(identity)).encode()).hexdigest()
    return f"{names[:80].lstrip('.')}-{digest[:16]}"
