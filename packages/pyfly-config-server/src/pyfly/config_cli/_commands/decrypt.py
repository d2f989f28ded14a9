"""`decrypt`: the clear text of a stored value."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import callback_of
from pyfly.config_cli._cli.parameters import TextCommand, settings_option, text_argument
from pyfly.config_cli._cli.texts import read_text
from pyfly.config_cli._console.output import print_exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptArguments:
    """What to decrypt."""

    text: str | None
    settings: str | None


async def decrypt(arguments: DecryptArguments) -> int:
    """Print the clear text; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.loading import load_keyring  # noqa: PLC0415

    cipher = read_text(arguments.text, prompt="Text to decrypt: ").strip()
    print_exactly(load_keyring(arguments.settings).decrypt(cipher))
    return 0


COMMAND: Final = TextCommand(
    "decrypt",
    callback=callback_of(decrypt, DecryptArguments),
    params=[text_argument(), settings_option()],
    help="Print the clear text of a stored value, with '{cipher}' or without.",
    examples=["pyfly-config decrypt '{cipher}AQB3...' --settings server.toml"],
)
