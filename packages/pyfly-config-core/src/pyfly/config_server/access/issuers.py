"""Issuers of JSON Web Tokens, and claims of principals, as the access file names them.

[issuers.cluster]
issuer = "https://kubernetes.default.svc.cluster.local"
audiences = ["pyfly-config"]
keys-url = "https://kubernetes.default.svc/openid/v1/jwks"

[principals.orders]
subjects = [
    { issuer = "cluster", claims = { sub = "system:serviceaccount:shop:orders" } },
]
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

from pyfly.config_core import JsonValue
from pyfly.config_server.access.tables import TableReader

__all__ = [
    "ALGORITHMS",
    "CLAIM",
    "FETCH_SECONDS",
    "ISSUER_KEYS",
    "ISSUER_NAME",
    "SUBJECT_KEYS",
    "Issuer",
    "Subject",
    "read_issuers",
    "read_subjects",
]

ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
"""The kind of key of each algorithm that may be named (RFC 7518, section 3.1; RFC 8037)."""
_DEFAULT_ALGORITHMS: Final = ("RS256", "ES256")
FETCH_SECONDS: Final = 10.0
"""The longest time for an answer with the keys of an issuer."""
ISSUER_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""The regular expression of the names of issuers."""

_TEXTS: Final[dict[str, JsonValue]] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "minLength": 1},
}
ISSUER_KEYS: Final[dict[str, JsonValue]] = {
    "issuer": {
        "description": "the claim `iss` of its tokens, compared as it is",
        "type": "string",
        "minLength": 1,
    },
    "audiences": {"description": "the accepted audiences; a token names one of them", **_TEXTS},
    "algorithms": {
        "description": "the accepted algorithms of signatures",
        "type": "array",
        "minItems": 1,
        "items": {"enum": [*ALGORITHMS]},
        "default": [*_DEFAULT_ALGORITHMS],
    },
    "keys-file": {
        "description": "the file with the public keys, a JSON Web Key Set",
        "type": "string",
        "minLength": 1,
    },
    "keys-url": {
        "description": "instead of `keys-file`: the URL of the key set, `jwks_uri` in OpenID terms",
        "type": "string",
        "minLength": 1,
    },
    "ca-file": {
        "description": "for `keys-url`: the authorities in PEM format that its certificate is of",
        "type": "string",
        "minLength": 1,
    },
    "token-file": {
        "description": "for `keys-url`: the file with the bearer token that it asks for",
        "type": "string",
        "minLength": 1,
    },
}
CLAIM: Final[dict[str, JsonValue]] = {
    "anyOf": [
        {"type": ["string", "boolean"]},
        {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/claim"}},
    ]
}
SUBJECT_KEYS: Final[dict[str, JsonValue]] = {
    "issuer": {"description": "the name of the issuer, as in `[issuers.NAME]`", "type": "string"},
    "claims": {
        "description": (
            "the claims that a token must have, all of them: a text, which may be one of a list "
            "in the token, `true`, `false`, or a table of such"
        ),
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/$defs/claim"},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs tokens, and how its keys are found. Equal issuers have the same keys."""

    name: str
    issuer: str
    """The claim `iss` of its tokens."""
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = _DEFAULT_ALGORITHMS
    keys_file: str | None = None
    keys_url: str | None = None
    """One of these two is set."""
    ca_file: str | None = None
    token_file: str | None = None

    @property
    def location(self) -> str:
        """The file or the URL of its keys."""
        return self.keys_file or self.keys_url or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose tokens belong to a principal."""

    issuer: str
    """The name of the issuer."""
    claims: Mapping[str, object]
    """What the claims of a token must be, all of them."""

    def fits(self, claims: Mapping[str, object]) -> bool:
        """True if a token with these claims belongs to the principal."""
        return _fits(self.claims, claims)

    def __str__(self) -> str:
        return f"{self.issuer}: " + ", ".join(_shown("", self.claims))


def _fits(wanted: object, given: object) -> bool:
    if isinstance(wanted, Mapping):
        if not isinstance(given, Mapping):
            return False
        members = cast("Mapping[str, object]", given)
        return all(
            key in members and _fits(value, members[key])
            for key, value in cast("Mapping[str, object]", wanted).items()
        )
    if isinstance(given, list) and isinstance(wanted, str):
        return wanted in cast("list[object]", given)
    return isinstance(given, type(wanted)) and given == wanted  # true is not 1


def _shown(prefix: str, claims: Mapping[str, object]) -> Iterator[str]:
    for key, value in claims.items():
        if isinstance(value, Mapping):
            yield from _shown(f"{prefix}{key}.", cast("Mapping[str, object]", value))
        else:
            yield f"{prefix}{key}={str(value).lower() if isinstance(value, bool) else value}"


def read_issuers(reader: TableReader, value: object) -> dict[str, Issuer]:
    """Return the issuers by name.

    Raises:
        ConfigFormatError: A table describes none, or two have the same claim `iss`.
    """
    issuers: dict[str, Issuer] = {}
    for name, item in reader.table(value, "issuers").items():
        place = f"issuers.{name}" if name.isprintable() else f"issuers.{name!a}"
        if re.fullmatch(ISSUER_NAME, name) is None:
            raise reader.error(place, "the name has at most 64 letters, digits and . _ -")
        issuer = _issuer(reader, name, reader.table(item, place), place)
        if any(issuer.issuer == other.issuer for other in issuers.values()):
            raise reader.error(f"{place}.issuer", "another issuer has it; make them one")
        issuers[name] = issuer
    return issuers


def _issuer(reader: TableReader, name: str, table: Mapping[str, object], place: str) -> Issuer:
    reader.check_keys(table, ISSUER_KEYS, place)
    issuer, audiences = _text(reader, table, "issuer", place), _listed(table, "audiences")
    if issuer is None:
        raise reader.error(f"{place}.issuer", "is missing: the claim 'iss' of its tokens")
    if audiences is None:
        raise reader.error(f"{place}.audiences", "must be texts: tokens for others would count")
    algorithms = _listed(table, "algorithms") if "algorithms" in table else _DEFAULT_ALGORITHMS
    if algorithms is None or not set(algorithms) <= ALGORITHMS.keys():
        raise reader.error(f"{place}.algorithms", f"must be some of: {', '.join(ALGORITHMS)}")
    found = Issuer(
        name=name,
        issuer=issuer,
        audiences=audiences,
        algorithms=algorithms,
        keys_file=_text(reader, table, "keys-file", place),
        keys_url=_text(reader, table, "keys-url", place),
        ca_file=_text(reader, table, "ca-file", place),
        token_file=_text(reader, table, "token-file", place),
    )
    _check_source(reader, found, place)
    return found


def _text(reader: TableReader, table: Mapping[str, object], key: str, place: str) -> str | None:
    if key not in table:
        return None
    found = reader.text(table[key], f"{place}.{key}")
    if not found:
        raise reader.error(f"{place}.{key}", "is empty")
    return found


def _listed(table: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    """Return a list of texts; `None` if it is something else or empty."""
    value = table.get(key)
    items = cast("list[object]", value) if isinstance(value, list) else []
    texts = tuple(item for item in items if isinstance(item, str) and item)
    return texts if texts and len(texts) == len(items) else None


def _check_source(reader: TableReader, issuer: Issuer, place: str) -> None:
    if (issuer.keys_file is None) == (issuer.keys_url is None):
        raise reader.error(place, "set keys-file or keys-url, and not both")
    if issuer.keys_url is not None:
        _check_url(reader, issuer.keys_url, f"{place}.keys-url")
    elif issuer.ca_file is not None or issuer.token_file is not None:
        raise reader.error(place, "ca-file and token-file belong to keys-url")


def _check_url(reader: TableReader, url: str, place: str) -> None:
    """Refuse what an attacker in the network could answer, and credentials in a URL."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if host is None or not url.isprintable() or " " in url:
        raise reader.error(place, "is not a URL with a host")
    if parts.username is not None or parts.password is not None:
        raise reader.error(place, "has a user name or a password; use token-file")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise reader.error(place, "must begin with https://; keys that others change sign for them")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_subjects(
    reader: TableReader, value: object, place: str, issuers: Mapping[str, Issuer]
) -> Iterator[Subject]:
    """Yield the subjects of a principal.

    Raises:
        ConfigFormatError: One is not acceptable, or names no issuer of the file.
    """
    for number, item in enumerate(reader.list(value, place)):
        here = f"{place}[{number}]"
        table = reader.table(item, here)
        reader.check_keys(table, SUBJECT_KEYS, here)
        issuer = reader.text(table.get("issuer"), f"{here}.issuer")
        if issuer not in issuers:
            raise reader.error(f"{here}.issuer", "names no issuer of this file: [issuers.NAME]")
        claims = reader.table(table.get("claims"), f"{here}.claims")
        _check_claims(reader, claims, f"{here}.claims")
        yield Subject(issuer=issuer, claims=claims)


def _check_claims(reader: TableReader, claims: Mapping[str, object], place: str) -> None:
    if not claims:
        raise reader.error(place, "is empty: every token of the issuer would count")
    for name, value in claims.items():
        if isinstance(value, dict):
            _check_claims(reader, cast("dict[str, object]", value), f"{place}.{name}")
        elif not isinstance(value, str | bool):
            raise reader.error(f"{place}.{name}", "must be a text, true, false or a table")
