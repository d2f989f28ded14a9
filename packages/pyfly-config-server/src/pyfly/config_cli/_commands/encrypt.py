"""`encrypt`: what to store instead of a secret."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import callback_of
from pyfly.config_cli._cli.parameters import TextCommand, settings_option, text_argument
from pyfly.config_cli._cli.texts import read_text
from pyfly.config_cli._console.output import print_result
from pyfly.config_core import EncryptionKeyError

_MARK: Final = "{cipher}"

_HELP: Final = """\
Encrypt a text with the key of the server, and print the value to store instead of it:
'{cipher}...'. The server decrypts it for its clients.

The text is asked for, or read from standard input, because other users of the machine may read
command lines. The key comes from the settings: see 'pyfly-config serve --help'.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptArguments:
    """What to encrypt, and with which key."""

    text: str | None
    key: str | None
    settings: str | None


async def encrypt(arguments: EncryptArguments) -> int:
    """Print the encrypted value; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.loading import load_keyring  # noqa: PLC0415

    ring = load_keyring(arguments.settings)
    if arguments.key is not None and not ring.has_key(arguments.key):
        raise EncryptionKeyError(f"there is no key {arguments.key!r}")
    text = read_text(arguments.text, prompt="Text to encrypt: ")
    prefix = "" if arguments.key is None else f"{{key:{arguments.key}}}"
    print_result(_MARK + ring.encrypt(f"{prefix}{{plain}}{text}"))
    return 0


COMMAND: Final = TextCommand(
    "encrypt",
    callback=callback_of(encrypt, EncryptArguments),
    params=[
        text_argument(),
        click.Option(["--key"], metavar="NAME", help="One of several keys, by its name."),
        settings_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config encrypt --settings server.toml",
        "pyfly-config encrypt --key 2027 < password.txt",
    ],
)
