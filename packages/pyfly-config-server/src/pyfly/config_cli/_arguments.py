"""An argument parser that asks about misspelt commands, options and choices.

Words and options may stand in any order. Messages show as little as they can: what was typed may
be a secret.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from pyfly.config_cli._suggest import did_you_mean, nearest

_CHOICE: Final = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)\Z", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z][\w-]*")


class Parser(argparse.ArgumentParser):
    """As `ArgumentParser`, and unknown options are an error of the command they stand behind."""

    def __init__(self, **options: Any) -> None:
        self.elsewhere: Mapping[str, str] = {}
        """Options that do not exist, and the variable of the environment to set instead."""
        self._known: dict[str, str] = {}
        self._words: argparse.Action | None = None
        self._text: argparse.Action | None = None
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Declare an argument; its names are suggested."""
        action = super().add_argument(*names, **options)
        self._known |= {name.lstrip("-"): name for name in action.option_strings}
        if not action.option_strings and action.nargs == "*":
            self._words = action
        if not action.option_strings and action.nargs == "?":
            self._text = action
        return action

    # One signature for the overloads.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments, all of which have to be known."""
        found, unknown = super().parse_known_args(args, namespace)
        end = unknown.index("--") if "--" in unknown else len(unknown)
        options = [word.partition("=")[0] for word in unknown[:end] if word.startswith("-")]
        unknown[end : end + 1] = []
        if options:  # only the first one is shown: what follows may be a secret
            self.error(f"unrecognized arguments: {options[0]}{self._hint(options[0])}")
        if unknown and self._words is not None:  # those behind an option
            words = [*getattr(found, self._words.dest), *unknown]
            setattr(found, self._words.dest, words)
        elif unknown and self._text is not None:
            self.error(f"{self._text.metavar} is one argument: put it in quotes")
        elif unknown:
            self.error(f"unrecognized arguments: {unknown[0].partition('=')[0]}")
        return found, []

    def _hint(self, option: str) -> str:
        if option in self.elsewhere:
            return f"; set {self.elsewhere[option]} in the environment instead"
        near = nearest(option.lstrip("-"), self._known)
        return "" if near is None else f"; did you mean {self._known[near]!r}?"

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        found = _CHOICE.search(message)
        super().error(message + (did_you_mean(found[1], _WORD.findall(found[2])) if found else ""))
