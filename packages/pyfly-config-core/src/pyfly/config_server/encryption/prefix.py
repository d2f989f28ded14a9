"""The prefix of a clear or cipher text: `{key:name}`, `{plain}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_core.bound_ciphers import CIPHER_MARK

__all__ = ["CIPHER_MARK", "PrefixedText", "split_prefix"]

_PLAIN: Final = "{plain}"
# Names are words. Spring accepts any text as a name and therefore loses the text {"user":"x"}.
_PAIR: Final = re.compile(r"\{([A-Za-z0-9._-]+):([^{}]*)\}")
_IGNORED: Final = frozenset({"name", "profiles"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixedText:
    """The pairs of a prefix, and the text after it."""

    pairs: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Names and values in the order given; may hold the password of a key."""
    text: str = field(repr=False)
    """The text to be encrypted or decrypted."""

    @property
    def key(self) -> str | None:
        """The name of the requested key, `None` for the default key."""
        return self.pairs.get("key")

    @property
    def secret(self) -> str | None:
        """The password of that key, `None` for its default password."""
        return self.pairs.get("secret")

    def before(self, text: str) -> str:
        """Return another text with the same prefix."""
        pairs = (f"{{{name}:{value}}}" for name, value in self.pairs.items())
        return "".join((*pairs, text))


def split_prefix(text: str) -> PrefixedText:
    """Return the prefix of a text and the rest.

    >>> split_prefix("{key:a}{secret:b}XX").text
    'XX'
    >>> split_prefix("{plain}{key:a}x").text
    '{key:a}x'
    >>> split_prefix("te}xt{a:b}").text
    'te}xt{a:b}'
    """
    pairs: dict[str, str] = {}
    end = 0
    while found := _PAIR.match(text, end):  # one expression for all pairs takes much memory
        end = found.end()
        if found[1] not in _IGNORED:
            pairs[found[1]] = found[2]
    return PrefixedText(pairs=pairs, text=text[end:].removeprefix(_PLAIN))
