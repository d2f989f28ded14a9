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
from typing import Final, cast

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.access.principal import Principal
from pyfly.config_server.access.rights import Right
from pyfly.config_server.access.rules import Rule
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

_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}"
_ID: Final = "[A-Za-z0-9_-]{1,32}"
_SHA256: Final = "[0-9a-fA-F]{64}"

_MOMENT: Final[dict[str, JsonValue]] = {"type": "string", "format": "date-time"}
_TOKEN_KEYS: Final[dict[str, JsonValue]] = {
    "id": {
        "description": "names the token where it is listed and revoked",
        "type": "string",
        "pattern": f"^{_ID}$",
    },
    "sha256": {
        "description": "the SHA-256 of the token in hexadecimal digits",
        "type": "string",
        "pattern": f"^{_SHA256}$",
    },
    "created": {"description": "when the token was made", **_MOMENT},
    "expires": {"description": "when the token ends; without it, it never ends", **_MOMENT},
}
_RULE_KEYS: Final[dict[str, JsonValue]] = {
    "rights": {
        "description": "the rights that the rule gives",
        "type": "array",
        "minItems": 1,
        "items": {"enum": [right.value for right in Right]},
    },
    "on": {
        "description": (
            "the bundles: `application/profile/label`, in which `*` stands for any text; `*/*/*` "
            "for rights on the whole server"
        ),
        "type": "string",
    },
    "files": {
        "description": "the paths for the right `files`, below the label, such as `orders/**`",
        "type": "string",
    },
}
_PRINCIPAL_KEYS: Final[dict[str, JsonValue]] = {
    "active": {
        "description": "`false` refuses the principal, which keeps its rules and its tokens",
        "type": "boolean",
        "default": True,
    },
    "expires": {"description": "when the principal ends; without it, it never ends", **_MOMENT},
    "rules": {
        "description": "what the principal may do; without a rule, nothing",
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["rights", "on"],
            "properties": _RULE_KEYS,
        },
    },
    "tokens": {
        "description": "the tokens by which the principal signs in; each of them is enough",
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "sha256"],
            "properties": _TOKEN_KEYS,
        },
    },
}
_FILE_KEYS: Final[dict[str, JsonValue]] = {
    "principals": {
        "description": "the principals by name",
        "type": "object",
        "propertyNames": {"pattern": f"^{_NAME}$"},
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": _PRINCIPAL_KEYS,
        },
    },
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What a token opens, for the look-up of each request."""

    name: bytes
    """The name of the principal."""
    principal: Principal
    until: float
    """The end of the token and of the principal, in seconds since 1970."""


class AccessTable:
    """The principals of an access file, and which token belongs to which of them.

    A look-up costs the same for one principal and for thousands.
    """

    def __init__(self, entries: Mapping[str, AccessEntry]) -> None:
        self.entries: Final = entries
        """The principals by name, in the order of the file."""
        self._grants = {
            token.digest: TokenGrant(
                name=entry.name.encode(),
                principal=entry.principal,
                until=min(_seconds(entry.expires), _seconds(token.expires)),
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
    return AccessTable(_Reader(where, reserved).read(document))


def check_principal_name(name: str, *, reserved: frozenset[str] = frozenset()) -> None:
    """Check the name of a principal.

    Raises:
        ConfigFormatError: It is not acceptable, or belongs to a shared credential.
    """
    if re.fullmatch(_NAME, name) is None:
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
        "properties": _FILE_KEYS,
    }


class _Reader:
    """Makes values of a document. A place is a key, such as `principals.orders.rules[0]`."""

    def __init__(self, where: str, reserved: frozenset[str]) -> None:
        self._where = where
        self._reserved = reserved
        self._owners: dict[bytes, str] = {}

    def read(self, document: Mapping[str, object]) -> dict[str, AccessEntry]:
        self._check_keys(document, _FILE_KEYS, "")
        principals = self._table(document.get("principals", {}), "principals")
        if not principals:  # an emptied file would lock everybody out
            raise self._error("", "there is no principal; add one with 'pyfly-config access add'")
        return {name: self._entry(name, value) for name, value in principals.items()}

    def _entry(self, name: str, value: object) -> AccessEntry:
        place = f"principals.{name}" if re.fullmatch(r"[\w-]+", name) else f'principals."{name}"'
        if not name.isprintable():
            place = f"principals.{name!a}"
        try:
            check_principal_name(name, reserved=self._reserved)
        except ConfigFormatError as error:
            raise self._error(place, error.reason) from None
        table = self._table(value, place)
        self._check_keys(table, _PRINCIPAL_KEYS, place)
        rules = tuple(self._rules(table.get("rules", []), f"{place}.rules"))
        active = table.get("active", True)
        if not isinstance(active, bool):
            raise self._error(f"{place}.active", "must be true or false")
        return AccessEntry(
            name=name,
            principal=Principal(name=name, rules=rules),
            is_active=active,
            expires=self._moment(table, "expires", place),
            tokens=tuple(self._tokens(table.get("tokens", []), f"{place}.tokens")),
        )

    def _rules(self, value: object, place: str) -> Iterator[Rule]:
        for number, item in enumerate(self._list(value, place)):
            here = f"{place}[{number}]"
            table = self._table(item, here)
            self._check_keys(table, _RULE_KEYS, here)
            for key in ("rights", "on"):
                if key not in table:
                    raise self._error(f"{here}.{key}", "is missing")
            files = table.get("files")
            try:
                yield Rule.parse(
                    rights=[*self._texts(table["rights"], f"{here}.rights")],
                    on=self._text(table["on"], f"{here}.on"),
                    files=None if files is None else self._text(files, f"{here}.files"),
                )
            except ConfigFormatError:
                raise
            except ValueError as error:
                raise self._error(here, str(error)) from None

    def _tokens(self, value: object, place: str) -> Iterator[StoredToken]:
        ids: set[str] = set()
        for number, item in enumerate(self._list(value, place)):
            here = f"{place}[{number}]"
            token = self._token(self._table(item, here), here)
            if token.id in ids:
                raise self._error(f"{here}.id", "another token of the principal has this id")
            owner = self._owners.setdefault(token.digest, here)
            if owner != here:
                raise self._error(f"{here}.sha256", f"is the token of {owner}; remove one of them")
            ids.add(token.id)
            yield token

    def _token(self, table: Mapping[str, object], place: str) -> StoredToken:
        self._check_keys(table, _TOKEN_KEYS, place)
        token_id, digest = table.get("id"), table.get("sha256")
        if not isinstance(token_id, str) or re.fullmatch(_ID, token_id) is None:
            raise self._error(f"{place}.id", "must be 1 to 32 letters, digits, _ and -")
        if not isinstance(digest, str) or re.fullmatch(_SHA256, digest) is None:
            raise self._error(
                f"{place}.sha256",
                "must be the SHA-256 of a token in 64 hexadecimal digits; 'pyfly-config access "
                "rotate' makes a token and writes it",
            )
        return StoredToken(
            id=token_id,
            digest=bytes.fromhex(digest),
            created=self._moment(table, "created", place),
            expires=self._moment(table, "expires", place),
        )

    def _moment(self, table: Mapping[str, object], key: str, place: str) -> datetime | None:
        moment = table.get(key)
        if moment is None:
            return None
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise self._error(
                f"{place}.{key}",
                "must be a time with an offset, without quotes, such as 2027-01-31T12:00:00Z",
            )
        return moment

    def _texts(self, value: object, place: str) -> Iterator[str]:
        for number, item in enumerate(self._list(value, place)):
            yield self._text(item, f"{place}[{number}]")

    def _text(self, value: object, place: str) -> str:
        if not isinstance(value, str):
            raise self._error(place, "must be a text")
        return value

    def _list(self, value: object, place: str) -> list[object]:
        if not isinstance(value, list):
            raise self._error(place, "must be a list")
        return cast("list[object]", value)

    def _table(self, value: object, place: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise self._error(place, "must be a table")
        return cast("dict[str, object]", value)

    def _check_keys(
        self, table: Mapping[str, object], known: Mapping[str, object], place: str
    ) -> None:
        for key in table:
            if key not in known:
                shown = key if key.isprintable() else ascii(key)
                raise self._error(
                    f"{place}.{shown}" if place else shown,
                    f"there is no such key; known are: {', '.join(known)}",
                )

    def _error(self, place: str, reason: str) -> ConfigFormatError:
        return ConfigFormatError(f"{place}: {reason}" if place else reason, where=self._where)
