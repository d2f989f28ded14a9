"""`decrypt`: the clear text of a stored value."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import callback_of
from pyfly.config_cli._cli.parameters import TextCommand, settings_option, text_argument
from pyfly.config_cli._cli.texts import read_text
from pyfly.config_cli._commands.encrypt import bound_place, place_options
from pyfly.config_cli._console.output import print_exactly
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core.bound_ciphers import is_bound


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptArguments:
    """What to decrypt."""

    text: str | None
    application: str | None
    key: str | None
    settings: str | None


async def decrypt(arguments: DecryptArguments) -> int:
    """Print the clear text; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings import loading  # noqa: PLC0415

    place = bound_place(arguments.application, arguments.key)
    cipher = read_text(arguments.text, prompt="Text to decrypt: ").strip()
    if not is_bound(cipher):
        print_exactly(loading.load_keyring(arguments.settings).decrypt(cipher))
        return 0
    if place is None:
        raise ArgumentError("this value is bound to its place: give --application and --key")
    keys = loading.load_bound_keys(arguments.settings)
    application, key = place
    print_exactly(keys.decrypt(cipher, applications=(application,), key=key))
    return 0


COMMAND: Final = TextCommand(
    "decrypt",
    callback=callback_of(decrypt, DecryptArguments),
    params=[text_argument(), *place_options(), settings_option()],
    help="Print the clear text of a stored value, with '{cipher}' or without.",
    examples=["pyfly-config decrypt '{cipher}AQB3...' --settings server.toml"],
)
