"""Secrets in tables and differences that a person reads on a terminal.

Results for programs, such as JSON, files and pipes, are never masked.
"""

import os
import re
import sys
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_cli._console.output import is_terminal, json_text
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import JsonValue
from pyfly.config_core.bound_ciphers import CIPHER_MARK, bound_name

MASK: Final = "******"
"""As the sanitizer of Spring Boot writes it, so that the length of a secret does not show."""

VARIABLE: Final = "PYFLY_CONFIG_SERVER_SECRET_KEYS"
"""A comma list of further names of secrets."""

_NAMES: Final = (
    *("password", "passwd", "pass", "pwd", "pw", "passphrase", "secret", "key", "token"),
    *("credential", r".*(?:password|passwd|passphrase|secret|token)s\..*"),
    *(".*credentials.*", "vcapservices", r"vcap\.services.*", "sun.java.command"),
    r"spring\.?application\.?json",
)
"""Those of Spring Boot's sanitizer, and a few more, in their canonical form."""
_PLAIN_NAME: Final = re.compile(r"[\w .-]+")
_WORD: Final = re.compile(r"\S+")
_USER_INFO: Final = re.compile(
    r"((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@]*:).*", re.DOTALL
)
_LONE_USER_INFO: Final = re.compile(r"(https?://)[^\s:/?#@]+@", re.IGNORECASE)
_ORACLE_PASSWORD: Final = re.compile(
    r"(jdbc:oracle:\w{1,9}:[^\s:/@]*/)[^\s@]{1,256}@", re.IGNORECASE
)
_ASSIGNMENT: Final = re.compile(
    r"""((?<![\w.-])[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|key|signature|\bsig)
        (?:\s*=\s*|["']?\s*:(?:\s+|(?=["']))))
        (?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^&;\s]+)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""In the query of a URL, in a connection string, or in a line of YAML, JSON or properties."""
_AUTHORIZATION: Final = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_PRIVATE_KEY: Final = "PRIVATE KEY-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretNames:
    """The names of properties whose values are secrets."""

    pattern: re.Pattern[str] = field(repr=False)
    """Matches their canonical names without the indexes of lists."""

    def has(self, key: str) -> bool:
        """True if the value of a flat key is a secret, also as an element of a list."""
        return self.pattern.fullmatch(bound_name(key)) is not None


def secret_names(further: str = "") -> SecretNames:
    """Return the usual names and further ones.

    Args:
        further: A comma list. A plain name, such as `pin`, means all keys that end with it, in any
            spelling; anything else is a regular expression for the canonical name of a key.

    Raises:
        ArgumentError: A regular expression cannot be read.

    >>> secret_names("pin").has("card.user-pin"), secret_names("card[.].*").has("card.owner")
    (True, True)
    """
    given = [name for one in further.split(",") if (name := one.strip())]
    try:
        texts = [f"(?:{_expression(name)})" for name in (*_NAMES, *given)]
        pattern = re.compile("|".join(texts), re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise ArgumentError(f"{VARIABLE}: a regular expression cannot be read: {error}") from None
    return SecretNames(pattern=pattern)


def _expression(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) is None:
        return name
    plain = re.escape(bound_name(name.replace(" ", "")))
    return f".*{plain}s?"


def masked(key: str, value: JsonValue, names: SecretNames) -> JsonValue:
    """Return a value without secrets: a mask, or the value with parts of it masked.

    Cipher texts and private keys are masked under every key, and so are, within a text, user info
    of URLs, assignments to secret names, and credentials of `Authorization`.

    >>> masked("db.url", "postgresql://app:pw@db/orders?sslkey=x", secret_names())
    'postgresql://app:******@db/orders?sslkey=******'
    """
    if value is None or isinstance(value, dict | list) or value == "":
        return value  # an empty one, because keys are flat
    if names.has(key):
        return MASK
    if not isinstance(value, str):
        return value
    if value.startswith(CIPHER_MARK) or _PRIVATE_KEY in value:
        return MASK
    value = _WORD.sub(_without_password, value)
    value = _LONE_USER_INFO.sub(rf"\1{MASK}@", value)
    value = _ORACLE_PASSWORD.sub(rf"\1{MASK}@", value)
    value = _AUTHORIZATION.sub(rf"\1 {MASK}", value)
    return _ASSIGNMENT.sub(rf"\1{MASK}", value)


def _without_password(found: re.Match[str]) -> str:
    """Mask a URL from the colon of its user info to the last `@`; a password may have both."""
    before, at, behind = found[0].rpartition("@")
    return _USER_INFO.sub(rf"\1{MASK}", before) + at + behind


MASKED: Final = "Secrets are masked on a terminal; --show-secrets shows them."
"""A remark behind a result with masked values."""


class ValuePrinter:
    """Writes values for standard output: masked on a terminal, as they are elsewhere.

    Args:
        show_secrets: True to mask nothing.

    Raises:
        ArgumentError: The environment names secrets in a way that cannot be read.
    """

    def __init__(self, *, show_secrets: bool) -> None:
        masks = is_terminal(sys.stdout) and not show_secrets
        self._names = secret_names(os.environ.get(VARIABLE, "")) if masks else None
        self.has_masked = False
        """True if a value was masked."""

    def text(self, key: str, value: JsonValue) -> str:
        """Return the value of a flat key as JSON."""
        shown = value if self._names is None else masked(key, value, self._names)
        if shown is not value and shown != value:
            self.has_masked = True
        return json_text(shown)
