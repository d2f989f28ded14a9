"""Cipher texts in documents and in plain files."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import (
    ConfigFormatError,
    EncryptionError,
    EncryptionKeyError,
    FlatValue,
    PropertySource,
    flatten,
)
from pyfly.config_core.bound_ciphers import BoundCiphers, is_bound
from pyfly.config_core.limits import MAX_CIPHERS_RSA
from pyfly.config_server.encryption.keyring import KeyRing, check_installed
from pyfly.config_server.encryption.prefix import CIPHER_MARK
from pyfly.config_server.formats.text import parse_documents
from pyfly.config_server.storage import TOO_LARGE

_LOG: Final = logging.getLogger(__name__)

_INVALID_PREFIX: Final = "invalid."
_NOT_AVAILABLE: Final = "<n/a>"
_LOGGED: Final = 10
"""Values of one answer that are named in the log, so that one request cannot flood it."""
_READABLE: Final = frozenset({".json", ".yml", ".yaml", ".properties"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """Decrypts values that begin with `{cipher}`, with the keys and options of a server."""

    keys: KeyRing | None = None
    """The keys of Spring's formats. With `None` no such cipher text can be decrypted."""
    bound: BoundCiphers | None = None
    """The keys of cipher texts that are bound to an application and a key."""
    decrypts_documents: bool = True
    """True if the server decrypts the values of documents; otherwise clients decrypt them."""
    decrypts_resources: bool = False
    """True if values in plain JSON, YAML and properties files are decrypted."""
    prefixes_invalid: bool = True
    """True to rename a key whose value cannot be decrypted to `invalid.<key>`. Otherwise the key
    stays, and its value is the text after `{cipher}`."""
    answers_decrypt: bool = False
    """True if the route `/decrypt` is open."""

    def concerns(self, sources: Sequence[PropertySource]) -> bool:
        """True if there is anything to decrypt."""
        return self.decrypts_documents and any(
            _is_cipher(value) for source in sources for value in source.source.values()
        )

    def check_amount(self, sources: Sequence[PropertySource]) -> None:
        """Refuse an answer with too many RSA operations, which take about a millisecond each.

        Raises:
            ConfigFormatError: There are more than 1,000 values encrypted with RSA.
        """
        self._check_ciphers(
            [
                value
                for source in sources
                for value in source.source.values()
                if isinstance(value, str) and _is_cipher(value)
            ]
        )

    def _check_ciphers(self, ciphers: Sequence[str]) -> None:
        keys = self.keys
        if keys is None or len(ciphers) <= MAX_CIPHERS_RSA:
            return
        amount = sum(not is_bound(value) and keys.takes_rsa(value) for value in ciphers)
        if amount > MAX_CIPHERS_RSA:
            raise ConfigFormatError(
                f"{amount:,} values encrypted with RSA, more than {MAX_CIPHERS_RSA:,} in one "
                f"answer; {TOO_LARGE}, or encrypt with a password"
            )

    def decrypt(
        self, sources: Sequence[PropertySource], owners: Sequence[Sequence[str]]
    ) -> list[PropertySource]:
        """Return the sources with clear texts in place of cipher texts.

        Decrypted values come after the other values of their source. The log names the first ten
        values that cannot be decrypted and the number of the others.

        Args:
            sources: The property sources.
            owners: For each of them, the applications whose bundle it is: several if the name of
                its file can be read in several ways.

        Raises:
            EncryptionNotInstalledError: `pyfly-config-core[encryption]` is not installed.
        """
        self._check_installed()
        failures: list[tuple[str, str, EncryptionError]] = []
        decrypted = [
            self._decrypted(source, applications, failures)
            for source, applications in zip(sources, owners, strict=True)
        ]
        for where, key, error in failures[:_LOGGED]:
            _LOG.warning("%s: %r cannot be decrypted: %s", where, key, error)
        if len(failures) > _LOGGED:
            further = len(failures) - _LOGGED
            _LOG.warning("%s further values of this answer cannot be decrypted", f"{further:,}")
        return decrypted

    def _decrypted(
        self,
        source: PropertySource,
        applications: Sequence[str],
        failures: list[tuple[str, str, EncryptionError]],
    ) -> PropertySource:
        ciphers = {key: value for key, value in source.source.items() if _is_cipher(value)}
        if not ciphers:
            return source
        values = {key: value for key, value in source.source.items() if key not in ciphers}
        for key, value in ciphers.items():
            try:
                values[key] = self._text(key, str(value), applications)
            except EncryptionError as error:
                failures.append((source.name, key, error))
                name, left = self._invalid(key, str(value))
                values[name] = left
        origins = {key: place for key, place in source.origins.items() if key not in ciphers}
        return PropertySource(name=source.name, source=values, origins=origins)

    def _invalid(self, key: str, value: str) -> tuple[str, FlatValue]:
        """Return the key and value that replace a value that cannot be decrypted."""
        if self.prefixes_invalid:
            return _INVALID_PREFIX + key, _NOT_AVAILABLE
        return key, value.removeprefix(CIPHER_MARK)

    def _check_installed(self) -> None:
        if self.keys is None and self.bound is None:
            check_installed()

    def _text(self, key: str, value: str, applications: Sequence[str]) -> str:
        if is_bound(value):
            if self.bound is None:
                raise EncryptionKeyError("no key for bound cipher texts is configured")
            return self.bound.decrypt(value, applications=applications, key=key)
        if self.keys is None:
            raise EncryptionKeyError("no key is configured")
        return self.keys.decrypt(value)

    def decrypt_resource(self, path: str, text: str, *, applications: Sequence[str]) -> str:
        """Return a plain file with clear texts where its values begin with `{cipher}`.

        Clear texts are not escaped for the format. Files of other formats are returned unchanged,
        and every file if `decrypts_resources` is false.

        Args:
            path: The path of the file; its suffix names the format.
            text: The content of the file.
            applications: The applications to which its bound cipher texts may be bound.

        Raises:
            ConfigFormatError: The file does not parse, or a value cannot be decrypted.
            EncryptionNotInstalledError: `pyfly-config-core[encryption]` is not installed.
        """
        suffix = PurePosixPath(path).suffix
        wanted = self.decrypts_documents and self.decrypts_resources and suffix in _READABLE
        if not wanted or CIPHER_MARK not in text:
            return text
        self._check_installed()
        try:
            ciphers = [*_ciphers(text, suffix)]
            self._check_ciphers([*{value for _, value in ciphers}])
            clear = {value: self._text(key, value, applications) for key, value in ciphers}
            text = _replaced(text, clear)
        except ConfigFormatError as error:
            raise error.at(path) from error
        except EncryptionError as error:
            raise ConfigFormatError(f"a value cannot be decrypted: {error}", where=path) from error
        return text


def _ciphers(text: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield the keys with values that begin with `{cipher}`, and these values."""
    for document in parse_documents(text.encode(), suffix=suffix):
        for key, value in flatten(document.properties).items():
            if _is_cipher(value):
                yield key, str(value)


def _replaced(text: str, clear: Mapping[str, str]) -> str:
    """Return a text with its cipher texts replaced in one pass; clear texts are not searched.

    If a cipher text is the beginning of another one, the longer one is replaced.
    """
    lengths = sorted({len(value) for value in clear}, reverse=True)
    done: list[str] = []
    position = 0
    while (start := text.find(CIPHER_MARK, position)) >= 0:
        values = (text[start : start + length] for length in lengths)
        value = next((one for one in values if one in clear), CIPHER_MARK)
        done += [text[position:start], clear.get(value, value)]
        position = start + len(value)
    return "".join((*done, text[position:]))


def _is_cipher(value: object) -> bool:
    return isinstance(value, str) and value.startswith(CIPHER_MARK)
