"""`encrypt`: what to store instead of a secret."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import callback_of
from pyfly.config_cli._cli.parameters import NameType, TextCommand, settings_option, text_argument
from pyfly.config_cli._cli.texts import read_text
from pyfly.config_cli._console.output import print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import EncryptionKeyError, check_name

_MARK: Final = "{cipher}"
_PROMPT: Final = "Text to encrypt: "

_HELP: Final = """\
Encrypt a text with the key of the server, and print the value to store instead of it:
'{cipher}...'. The server decrypts it for its clients.

With --application and --key, the value is bound to both: in another application or under another
key it cannot be decrypted, and a changed value is noticed. Elements of a list are bound to the key
of the list. The profile and the label do not count.

The text is asked for, or read from standard input, because other users of the machine may read
command lines. The key comes from the settings: see 'pyfly-config serve --help'.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptArguments:
    """What to encrypt, and with which key."""

    text: str | None
    application: str | None
    key: str | None
    key_name: str | None
    settings: str | None


async def encrypt(arguments: EncryptArguments) -> int:
    """Print the encrypted value; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings import loading  # noqa: PLC0415

    name = arguments.key_name
    place = bound_place(arguments.application, arguments.key)
    if place is not None:
        bound = loading.load_bound_keys(arguments.settings)
        _check_key_name(name, known=name in bound.key_ids)
        text = read_text(arguments.text, prompt=_PROMPT)
        application, key = place
        print_result(_MARK + bound.encrypt(text, application=application, key=key, key_id=name))
        return 0
    ring = loading.load_keyring(arguments.settings)
    _check_key_name(name, known=name is not None and ring.has_key(name))
    text = read_text(arguments.text, prompt=_PROMPT)
    prefix = "" if name is None else f"{{key:{name}}}"
    print_result(_MARK + ring.encrypt(f"{prefix}{{plain}}{text}"))
    return 0


def bound_place(application: str | None, key: str | None) -> tuple[str, str] | None:
    """Return the application and the key that a value is bound to; `None` if neither is given.

    Raises:
        ArgumentError: Only one of them is given, or the key is empty.
        InvalidConfigKeyError: The application is not acceptable.
    """
    if application is None and key is None:
        return None
    if not application or not key:
        raise ArgumentError("give --application and --key together: a value is bound to both")
    check_name("application", application)
    return application, key


def _check_key_name(name: str | None, *, known: bool) -> None:
    if name is not None and not known:
        raise EncryptionKeyError(f"there is no key {name!r}")


def place_options() -> list[click.Parameter]:
    """Return the options for the place of a bound value."""
    return [
        click.Option(
            ["--application"],
            type=NameType("application"),
            help="Bind the value to this application; needs --key.",
        ),
        click.Option(["--key"], help="Bind the value to this key, such as db.password."),
    ]


COMMAND: Final = TextCommand(
    "encrypt",
    callback=callback_of(encrypt, EncryptArguments),
    params=[
        text_argument(),
        *place_options(),
        click.Option(["--key-name"], metavar="NAME", help="One of several keys, by its name."),
        settings_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config encrypt --settings server.toml",
        "pyfly-config encrypt --key-name 2027 < password.txt",
        "pyfly-config encrypt --application orders --key db.password --settings server.toml",
    ],
)
