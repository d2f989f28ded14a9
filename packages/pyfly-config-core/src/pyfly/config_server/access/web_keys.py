"""Public keys of issuers, and the signatures of tokens. Only this module imports `jwt`.

It is imported when an access file names issuers: PyJWT is optional.
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Final, TypeAlias, cast

import jwt

from pyfly.config_core import ConfigFormatError
from pyfly.config_core.strict_json import decode_json
from pyfly.config_server.access.issuers import ALGORITHMS, Issuer
from pyfly.config_server.access.web_tokens import (
    LEEWAY_SECONDS,
    UnknownKeyError,
    WebToken,
    WebTokenError,
)

__all__ = ["WebKeys", "parse_keys"]

_LOG: Final = logging.getLogger(__name__)
_MAX_KEYS: Final = 64
_LEAST_RSA_BITS: Final = 2048
_MOST_RSA_BITS: Final = 8192
_MOST_EXPONENT: Final = 2**32
_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The public members of each type of key (RFC 7518, section 6; RFC 8037)."""
_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_LOADED_AS: Final = {
    "RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA",
}  # fmt: skip
_Name: TypeAlias = tuple[str | None, str]
"""The id of a key and its kind."""


class WebKeys:
    """The public keys of an issuer."""

    def __init__(self, keys: Mapping[_Name, jwt.PyJWK]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def verify(self, token: WebToken, issuer: Issuer) -> None:
        """Check the signature of a token, its issuer, its audience and its times.

        The algorithm is one of the issuer's, and fits the key.

        Raises:
            UnknownKeyError: There is no such key.
            WebTokenError: A check fails.
        """
        if token.algorithm not in issuer.algorithms:
            raise WebTokenError("its algorithm is not one of the issuer's")
        key = self._find(token)
        try:
            jwt.decode(
                token.text,
                key.key,
                algorithms=[token.algorithm],
                audience=issuer.audiences,
                issuer=issuer.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:  # not chained: it may hold claims
            raise WebTokenError(f"{type(error).__name__}") from None

    def _find(self, token: WebToken) -> jwt.PyJWK:
        kind = ALGORITHMS[token.algorithm]
        if token.key_id is None and len(self._keys) == 1:
            name = next(iter(self._keys))
            if name[1] == kind:
                return self._keys[name]
        found = self._keys.get((token.key_id, kind))
        if found is None:
            raise UnknownKeyError("no key has its id and fits its algorithm")
        return found


def parse_keys(data: bytes, where: str) -> WebKeys:
    """Return the keys of a JSON Web Key Set (RFC 7517, section 5).

    Keys of unknown types, for encryption, and those that are too weak are left out, with a line in
    the log.

    Raises:
        ConfigFormatError: It is none, has too many keys or none that can be used, or two with the
            same id.
    """
    try:
        document = decode_json(data)
    except ValueError:
        raise ConfigFormatError("is not JSON", where=where) from None
    members = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    listed = members.get("keys")
    if not isinstance(listed, list):
        raise ConfigFormatError("is not a key set: {'keys': [...]}", where=where)
    rows = cast("list[object]", listed)
    if len(rows) > _MAX_KEYS:
        raise ConfigFormatError(f"has more than {_MAX_KEYS} keys", where=where)
    keys: dict[_Name, jwt.PyJWK] = {}
    for number, row in enumerate(rows):
        try:
            name, key = _key(row)
        except ValueError as error:
            _LOG.warning("%s: keys[%d] is left out: %s", where, number, error)
            continue
        if name in keys:
            raise ConfigFormatError(f"keys[{number}] has the id of another key", where=where)
        keys[name] = key
    if not keys:
        raise ConfigFormatError("has no key that can verify a token", where=where)
    return WebKeys(keys)


def _key(row: object) -> tuple[_Name, jwt.PyJWK]:
    """Return a key with its name, made of its public members only.

    Raises:
        ValueError: It cannot verify tokens; without any member of it.
    """
    key = cast("dict[str, object]", row) if isinstance(row, dict) else {}
    kind, key_id = key.get("kty"), key.get("kid")
    if not isinstance(kind, str) or kind not in _MEMBERS or not isinstance(key_id, str | None):
        raise ValueError("its type is not RSA, EC or OKP, or its id is no text")
    if key.get("use", "sig") != "sig" or "verify" not in _texts(key.get("key_ops", ["verify"])):
        raise ValueError("it is not for signatures")
    public = {"kty": kind} | {name: key.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in public.values()):
        raise ValueError("a member is missing")
    strength = _strength_of(public)
    if key.get("alg") is not None and ALGORITHMS.get(str(key["alg"])) != strength:
        raise ValueError("its algorithm does not fit its type")
    try:
        return (key_id, strength), jwt.PyJWK.from_dict(public, algorithm=_LOADED_AS[strength])
    except (jwt.PyJWTError, ValueError):
        raise ValueError("its members are no key") from None


def _strength_of(key: Mapping[str, object]) -> str:
    """Return the kind of a key as in `ALGORITHMS`.

    Raises:
        ValueError: It is of no such kind, too weak, or takes too long.
    """
    if key["kty"] != "RSA":
        curve = str(key["crv"])
        if curve not in _CURVES[str(key["kty"])]:
            raise ValueError("its curve is not P-256, P-384, P-521 or Ed25519")
        return curve
    bits, exponent = _number(key["n"]).bit_length(), _number(key["e"])
    if not _LEAST_RSA_BITS <= bits <= _MOST_RSA_BITS:
        raise ValueError(f"an RSA key has {_LEAST_RSA_BITS} to {_MOST_RSA_BITS} bits, not {bits}")
    if exponent >= _MOST_EXPONENT:
        raise ValueError("its exponent is too large")
    return "RSA"


def _texts(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _number(text: object) -> int:
    data = str(text).encode()
    try:
        return int.from_bytes(base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4)))
    except binascii.Error:
        raise ValueError("a member is not base64") from None
