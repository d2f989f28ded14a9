"""An argument parser that asks about misspelt commands, options and choices."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from pyfly.config_cli._suggest import did_you_mean

_CHOICE: Final = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)\Z", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z][\w-]*")


class Parser(argparse.ArgumentParser):
    """As `ArgumentParser`, and unknown options are an error of the command they stand behind."""

    def __init__(self, **options: Any) -> None:
        self._known: list[str] = []
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Declare an argument; its names are suggested."""
        action = super().add_argument(*names, **options)
        self._known += action.option_strings
        return action

    # One signature for the overloads.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments, all of which have to be known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            # What follows an unknown option may be a secret.
            names = [word.partition("=")[0] for word in unknown if word.startswith("-")] or unknown
            hint = did_you_mean(names[0], self._known) if names[0].startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(names)}{hint}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        found = _CHOICE.search(message)
        super().error(message + (did_you_mean(found[1], _WORD.findall(found[2])) if found else ""))
