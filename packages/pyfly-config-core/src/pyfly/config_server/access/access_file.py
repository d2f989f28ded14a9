"""The access file: principals with their rules and the digests of their tokens, in TOML.

    [principals.orders]
    rules = [
        { rights = ["read"], on = "orders/*/*" },
        { rights = ["files"], on = "*/*/main", files = "orders/**" },
    ]

    [[principals.orders.tokens]]
    id = "k3vq7a"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    created = 2026-11-27T19:00:00Z
    expires = 2027-11-27T19:00:00Z

The command `pyfly-config access` writes it, and people may.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.access.file_keys import (
    FILE_KEYS,
    PRINCIPAL_KEYS,
    PRINCIPAL_NAME,
    RULE_KEYS,
    SHA256,
    TOKEN_ID,
    TOKEN_KEYS,
)
from pyfly.config_server.access.identities import check_identity
from pyfly.config_server.access.issuers import (
    CLAIM,
    Issuer,
    Subject,
    read_issuers,
    read_subjects,
)
from pyfly.config_server.access.principal import Principal
from pyfly.config_server.access.rules import Rule
from pyfly.config_server.access.tables import TableReader
from pyfly.config_server.access.tokens import SHARED_TOKEN

__all__ = [
    "MAX_ACCESS_FILE_BYTES",
    "AccessEntry",
    "AccessTable",
    "StoredToken",
    "TokenGrant",
    "access_file_schema",
    "check_principal_name",
    "parse_access_file",
]

MAX_ACCESS_FILE_BYTES: Final = 8_388_608

_NO_ISSUERS: Final[Mapping[str, Issuer]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token, as the access file holds it."""

    id: str
    digest: bytes = field(repr=False)
    """The SHA-256 of the token."""
    created: datetime | None = None
    expires: datetime | None = None
    """`None` if it never expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEntry:
    """A principal, and how it signs in."""

    name: str
    principal: Principal
    is_active: bool = True
    expires: datetime | None = None
    """When the principal ends; `None` if it never does."""
    tokens: tuple[StoredToken, ...] = ()
    subjects: tuple[Subject, ...] = ()
    """Whose JSON Web Tokens are its own."""
    identities: tuple[str, ...] = ()
    """By which names a trusted proxy knows it."""

    @property
    def until(self) -> float:
        """The end of the principal, in seconds since 1970."""
        return _seconds(self.expires)

    def is_usable(self, now: float) -> bool:
        """True if the principal may sign in, at a time in seconds since 1970."""
        return self.is_active and now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What a token opens, for the look-up of each request."""

    name: bytes
    """The name of the principal."""
    principal: Principal
    until: float
    """The end of the token and of the principal, in seconds since 1970."""


class AccessTable:
    """The principals of an access file, and which token or identity belongs to which of them.

    A look-up costs the same for one principal and for thousands.
    """

    def __init__(
        self, entries: Mapping[str, AccessEntry], issuers: Mapping[str, Issuer] = _NO_ISSUERS
    ) -> None:
        self.entries: Final = entries
        """The principals by name, in the order of the file."""
        self.issuers: Final = issuers
        """The issuers of JSON Web Tokens by name."""
        self._subjects: dict[tuple[str, object], list[tuple[int, Subject, AccessEntry]]] = {}
        for number, entry in enumerate(entries.values()):
            for subject in entry.subjects:
                rows = self._subjects.setdefault(_subject_key(subject.issuer, subject.claims), [])
                rows.append((number, subject, entry))
        self._identities = {
            identity: entry for entry in entries.values() for identity in entry.identities
        }
        self._grants = {
            token.digest: TokenGrant(
                name=entry.name.encode(),
                principal=entry.principal,
                until=min(entry.until, _seconds(token.expires)),
            )
            for entry in entries.values()
            if entry.is_active
            for token in entry.tokens
        }

    def find(self, digest: bytes, *, now: float) -> TokenGrant | None:
        """Return the principal that a token belongs to, with its name and its end.

        Args:
            digest: The SHA-256 of the token.
            now: The time in seconds since 1970.

        Returns:
            `None` for an unknown or expired token, and for a principal that is not active.
        """
        grant = self._grants.get(digest)
        return None if grant is None or now >= grant.until else grant

    def find_identity(self, identity: str, *, now: float) -> Principal | None:
        """Return the principal that has an identity.

        Args:
            identity: How a trusted proxy names the client.
            now: The time in seconds since 1970.

        Returns:
            `None` for an unknown identity, and for a principal that is not active or has expired.
        """
        entry = self._identities.get(identity)
        return entry.principal if entry is not None and entry.is_usable(now) else None

    def find_subject(self, issuer: str, claims: Mapping[str, object]) -> AccessEntry | None:
        """Return the first principal of the file that verified claims belong to.

        It may be inactive or expired, and is then refused, so that no later one takes its place.

        Args:
            issuer: The name of the issuer.
            claims: The claims of its token.
        """
        named, others = _subject_key(issuer, claims), (issuer, None)
        rows = self._subjects.get(named, []) if named != others else []
        fitting = (row for row in (*rows, *self._subjects.get(others, ())) if row[1].fits(claims))
        first = min(fitting, key=lambda row: row[0], default=None)
        return None if first is None else first[2]


def _subject_key(issuer: str, claims: Mapping[str, object]) -> tuple[str, str | None]:
    """Return what most subjects differ in, so that a look-up need not try all of them."""
    name = claims.get("sub")
    return issuer, name if isinstance(name, str) else None


def _seconds(moment: datetime | None) -> float:
    return float("inf") if moment is None else moment.timestamp()


def parse_access_file(
    data: bytes, *, where: str, reserved: frozenset[str] = frozenset()
) -> AccessTable:
    """Return the principals that the bytes of an access file describe.

    Args:
        data: The bytes.
        where: The name of the file in errors.
        reserved: Names that no principal may have, beside `SHARED_TOKEN`.

    Raises:
        ConfigFormatError: They describe none; names the line or the key and the remedy, and shows
            no value that may be a secret.
    """
    if len(data) > MAX_ACCESS_FILE_BYTES:
        raise ConfigFormatError(f"is larger than {MAX_ACCESS_FILE_BYTES:,} bytes", where=where)
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise ConfigFormatError("is not UTF-8", where=where) from None
    except RecursionError:
        raise ConfigFormatError("is nested too deeply", where=where) from None
    except ValueError as error:  # names line and column
        raise ConfigFormatError(f"is not TOML: {error}", where=where) from None
    return _Reader(where, reserved).read(document)


def check_principal_name(name: str, *, reserved: frozenset[str] = frozenset()) -> None:
    """Check the name of a principal.

    Raises:
        ConfigFormatError: It is not acceptable, or belongs to a shared credential.
    """
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        rule = "at most 128 letters, digits and . _ @ + -, the first a letter or a digit"
        raise ConfigFormatError(f"a principal's name has {rule}")
    if name in reserved | {SHARED_TOKEN}:
        raise ConfigFormatError("the shared credential has this name; take another")


def access_file_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of access files, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Access file of pyfly-config serve",
        "type": "object",
        "additionalProperties": False,
        "required": ["principals"],
        "properties": FILE_KEYS,
        "$defs": {"claim": CLAIM},
    }


class _Reader(TableReader):
    """Makes principals of a document."""

    def __init__(self, where: str, reserved: frozenset[str]) -> None:
        super().__init__(where)
        self._reserved = reserved
        self._owners: dict[bytes | str, str] = {}  # of digests and of identities
        self._issuers: Mapping[str, Issuer] = {}

    def read(self, document: Mapping[str, object]) -> AccessTable:
        self.check_keys(document, FILE_KEYS, "")
        principals = self.table(document.get("principals", {}), "principals")
        if not principals:  # an emptied file would lock everybody out
            raise self.error("", "there is no principal; add one with 'pyfly-config access add'")
        self._issuers = read_issuers(self, document.get("issuers", {}))
        entries = {name: self._entry(name, value) for name, value in principals.items()}
        return AccessTable(entries, self._issuers)

    def _entry(self, name: str, value: object) -> AccessEntry:
        place = f"principals.{name}" if re.fullmatch(r"[\w-]+", name) else f'principals."{name}"'
        if not name.isprintable():
            place = f"principals.{name!a}"
        try:
            check_principal_name(name, reserved=self._reserved)
        except ConfigFormatError as error:
            raise self.error(place, error.reason) from None
        table = self.table(value, place)
        self.check_keys(table, PRINCIPAL_KEYS, place)
        rules = tuple(self._rules(table.get("rules", []), f"{place}.rules"))
        active = table.get("active", True)
        if not isinstance(active, bool):
            raise self.error(f"{place}.active", "must be true or false")
        return AccessEntry(
            name=name,
            principal=Principal(name=name, rules=rules),
            is_active=active,
            expires=self.moment(table, "expires", place),
            tokens=tuple(self._tokens(table.get("tokens", []), f"{place}.tokens")),
            subjects=tuple(
                read_subjects(self, table.get("subjects", []), f"{place}.subjects", self._issuers)
            ),
            identities=tuple(self._identities(table.get("identities", []), f"{place}.identities")),
        )

    def _rules(self, value: object, place: str) -> Iterator[Rule]:
        for number, item in enumerate(self.list(value, place)):
            here = f"{place}[{number}]"
            table = self.table(item, here)
            self.check_keys(table, RULE_KEYS, here)
            for key in ("rights", "on"):
                if key not in table:
                    raise self.error(f"{here}.{key}", "is missing")
            files = table.get("files")
            try:
                yield Rule.parse(
                    rights=[*self.texts(table["rights"], f"{here}.rights")],
                    on=self.text(table["on"], f"{here}.on"),
                    files=None if files is None else self.text(files, f"{here}.files"),
                )
            except ConfigFormatError:
                raise
            except ValueError as error:
                raise self.error(here, str(error)) from None

    def _identities(self, value: object, place: str) -> Iterator[str]:
        for number, identity in enumerate(self.texts(value, place)):
            here = f"{place}[{number}]"
            try:
                check_identity(identity)
            except ValueError as error:
                raise self.error(here, str(error)) from None
            owner = self._owners.setdefault(identity, here)
            if owner != here:
                raise self.error(here, f"is the same as {owner}; remove one of them")
            yield identity

    def _tokens(self, value: object, place: str) -> Iterator[StoredToken]:
        ids: set[str] = set()
        for number, item in enumerate(self.list(value, place)):
            here = f"{place}[{number}]"
            token = self._token(self.table(item, here), here)
            if token.id in ids:
                raise self.error(f"{here}.id", "another token of the principal has this id")
            owner = self._owners.setdefault(token.digest, here)
            if owner != here:
                raise self.error(f"{here}.sha256", f"is the token of {owner}; remove one of them")
            ids.add(token.id)
            yield token

    def _token(self, table: Mapping[str, object], place: str) -> StoredToken:
        self.check_keys(table, TOKEN_KEYS, place)
        token_id, digest = table.get("id"), table.get("sha256")
        if not isinstance(token_id, str) or re.fullmatch(TOKEN_ID, token_id) is None:
            raise self.error(f"{place}.id", "must be 1 to 32 letters, digits, _ and -")
        if not isinstance(digest, str) or re.fullmatch(SHA256, digest) is None:
            raise self.error(
                f"{place}.sha256",
                "must be the SHA-256 of a token in 64 hexadecimal digits; 'pyfly-config access "
                "rotate' makes a token and writes it",
            )
        return StoredToken(
            id=token_id,
            digest=bytes.fromhex(digest),
            created=self.moment(table, "created", place),
            expires=self.moment(table, "expires", place),
        )
