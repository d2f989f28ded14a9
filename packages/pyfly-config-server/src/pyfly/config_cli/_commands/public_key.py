"""`key`: the public part of the key."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import settings_option
from pyfly.config_cli._console.output import print_result
from pyfly.config_core import EncryptionKeyError


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyArguments:
    """Where the key is configured."""

    settings: str | None


async def print_public_key(arguments: KeyArguments) -> int:
    """Print the public key; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.loading import load_keyring  # noqa: PLC0415

    public = load_keyring(arguments.settings).default.public_key
    if public is None:
        raise EncryptionKeyError("the key is a password; it has no public part")
    print_result(public)
    return 0


COMMAND: Final = Command(
    "key",
    callback=callback_of(print_public_key, KeyArguments),
    params=[settings_option()],
    help="Print the public part of an RSA key, in the format of OpenSSH.",
    examples=["pyfly-config key --settings server.toml"],
)
