"""`encrypt`, `decrypt`, `key`: the keys of a server, without a server."""

import argparse
import getpass
import os
import sys

from pyfly.config_cli._encryption_settings import keys_of, open_ring
from pyfly.config_cli._known import PREFIX, SettingsError
from pyfly.config_cli._output import say, say_exactly
from pyfly.config_cli._secret_files import without_line_end
from pyfly.config_cli._sources import read_settings
from pyfly.config_core import EncryptionKeyError
from pyfly.config_server import KeyRing

_MARK = "{cipher}"


async def encrypt(arguments: argparse.Namespace) -> int:
    """Print what to store instead of a secret."""
    ring = _ring(arguments)
    if arguments.key is not None and not ring.has_key(arguments.key):
        raise EncryptionKeyError(f"there is no key {arguments.key!r}")
    text = _text(arguments, "Text to encrypt: ")
    prefix = "" if arguments.key is None else f"{{key:{arguments.key}}}"
    say(_MARK + ring.encrypt(f"{prefix}{{plain}}{text}"))
    return 0


async def decrypt(arguments: argparse.Namespace) -> int:
    """Print the clear text of a stored value."""
    cipher = _text(arguments, "Text to decrypt: ").strip()  # no cipher text has blanks around it
    say_exactly(_ring(arguments).decrypt(cipher))
    return 0


async def show_key(arguments: argparse.Namespace) -> int:
    """Print the public key."""
    public = _ring(arguments).default.public_key
    if public is None:
        raise EncryptionKeyError("the key is a password; it has no public part")
    say(public)
    return 0


def _ring(arguments: argparse.Namespace) -> KeyRing:
    keys = keys_of(read_settings(arguments.settings, os.environ))
    if keys is None:
        raise SettingsError(
            f"no key is configured; set {PREFIX}ENCRYPT_KEY or {PREFIX}ENCRYPT_KEY_STORE_LOCATION, "
            "or name the settings file of the server with --settings"
        )
    return open_ring(keys)


def _text(arguments: argparse.Namespace, prompt: str) -> str:
    """Return the text that was given, asked for on a terminal, or piped in."""
    if arguments.text is not None:
        return str(arguments.text)
    if sys.stdin is None:  # it was closed before the start
        raise SettingsError("there is no text: standard input is closed")
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    try:
        return without_line_end(sys.stdin.buffer.read().decode())
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise SettingsError("standard input is not UTF-8") from None
