"""Encrypting stored values with another key. Reads and writes no store."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, cast

from pyfly.config_core import CipherError, EncryptionError, EncryptionKeyError, JsonValue
from pyfly.config_core.bound_ciphers import CIPHER_MARK, is_bound, key_id_of
from pyfly.config_server.encryption.decryption import Encryption
from pyfly.config_server.encryption.keyring import KeyRing
from pyfly.config_server.encryption.prefix import split_prefix

DEFAULT_KEY: Final = "default"
"""The name of the key for texts that name none."""


class CipherRekeyer:
    """Replaces values that are encrypted with one key by values encrypted with another one.

    Values of Spring's formats become bound values if the new key is one for these, and the other
    way round.

    Args:
        encryption: The keys of the server, which include both.
        source: The name of the old key: of one of Spring's formats, `default`, or the id of one
            for bound values.
        target: The name of the new key.

    Raises:
        EncryptionKeyError: There is no such key, or two have this name; or both are the same.
    """

    def __init__(self, encryption: Encryption, *, source: str, target: str) -> None:
        self._encryption = encryption
        self._source, self._source_is_bound = source, self._kind(source)
        self._target, self._target_is_bound = target, self._kind(target)
        if source == target:
            raise EncryptionKeyError(f"the old and the new key are both {source!r}")

    def concerns(self, value: object) -> bool:
        """True if a stored value is encrypted with the old key."""
        if not isinstance(value, str) or not value.startswith(CIPHER_MARK):
            return False
        if is_bound(value) or self._source_is_bound:
            return self._source_is_bound and key_id_of(value) == self._source
        return self._spring_name(value) == self._source.lower()

    @property
    def binds(self) -> bool:
        """True if values that were not bound become bound to their application and key."""
        return self._target_is_bound and not self._source_is_bound

    def rekeyed(self, value: str, *, applications: Sequence[str], key: str) -> str:
        """Return the value encrypted with the new key.

        A bound value stays bound to its application. Other values are bound to the first one.

        Args:
            value: One that this concerns.
            applications: The application of its bundle; several if the name of its file can be
                read in several ways.
            key: Its flat key.

        Raises:
            EncryptionError: It cannot be decrypted.
        """
        text, application = self._opened(value, applications, key)
        keys, bound = self._encryption.keys, self._encryption.bound
        if self._target_is_bound and bound is not None:
            cipher = bound.encrypt(text, application=application, key=key, key_id=self._target)
        elif keys is not None:
            named = "" if self._target == DEFAULT_KEY else f"{{key:{self._target}}}"
            cipher = keys.encrypt(f"{named}{{plain}}{text}")
        else:
            raise AssertionError  # the key was there
        return CIPHER_MARK + cipher

    def _opened(self, value: str, applications: Sequence[str], key: str) -> tuple[str, str]:
        """Return the clear text, and its application."""
        keys, bound = self._encryption.keys, self._encryption.bound
        if self._source_is_bound and bound is not None:
            for application in applications[:-1]:
                with contextlib.suppress(CipherError):
                    return bound.decrypt(value, applications=(application,), key=key), application
            return bound.decrypt(value, applications=applications[-1:], key=key), applications[-1]
        if keys is None:
            raise AssertionError  # the key was there
        return keys.decrypt(value), applications[0]

    def replaced(
        self,
        properties: Mapping[str, JsonValue],
        *,
        applications: Sequence[str],
        on_failure: Callable[[str, EncryptionError], None],
        left: Collection[str] = (),
    ) -> tuple[dict[str, JsonValue], list[str]]:
        """Return a copy of a tree with new values, and the flat keys of these.

        Args:
            properties: The tree.
            applications: As in `rekeyed`.
            on_failure: Called with the flat key of each value that cannot be decrypted, which
                stays as it is.
            left: Flat keys of values, lists and mappings that stay as they are.
        """
        changed: list[str] = []

        def convert(node: JsonValue, key: str) -> JsonValue:
            if key in left:
                return node
            if isinstance(node, dict):
                return {name: convert(below, _below(key, name)) for name, below in node.items()}
            if isinstance(node, list):
                return [convert(item, f"{key}[{index}]") for index, item in enumerate(node)]
            if not self.concerns(node):
                return node
            try:
                new = self.rekeyed(str(node), applications=applications, key=key)
            except EncryptionError as error:
                on_failure(key, error)
                return node
            changed.append(key)
            return new

        return cast("dict[str, JsonValue]", convert(dict(properties), "")), changed

    def _kind(self, name: str) -> bool:
        """True if a key is one for bound values."""
        keys, bound = self._encryption.keys, self._encryption.bound
        is_spring = keys is not None and (name == DEFAULT_KEY or keys.has_key(name))
        is_bound_key = bound is not None and name in bound.key_ids
        if keys is not None and name == DEFAULT_KEY:
            _check_default(keys)
        if is_spring and is_bound_key:
            raise EncryptionKeyError(
                f"two keys are called {name!r}, one of them for bound values; rename that one"
            )
        if not is_spring and not is_bound_key:
            raise EncryptionKeyError(f"there is no key {name!r}")
        return is_bound_key

    def _spring_name(self, value: str) -> str:
        name = split_prefix(value.removeprefix(CIPHER_MARK)).key
        keys = self._encryption.keys
        # with one key only, names in texts do not count
        return DEFAULT_KEY if name is None or keys is None or not keys.has_names else name.lower()


def _check_default(keys: KeyRing) -> None:
    """Refuse a named key `default`, unless it is the key of a key store for texts without a name.

    Raises:
        EncryptionKeyError: `default` stands for two keys.
    """
    for name in keys.names:
        if name.lower() != DEFAULT_KEY:
            continue
        public = keys.find(name).public_key
        if public is None or public != keys.default.public_key:
            raise EncryptionKeyError(
                f"a key is called {name!r}, and 'default' stands for the key of values that name "
                f"none; rename it in the settings, and in the values with {{key:{name}}}"
            )


def _below(key: str, name: str) -> str:
    """Return the flat key of a child, as `flatten` makes it."""
    return f"{key}{name}" if not key or name.startswith("[") else f"{key}.{name}"
