"""Completion in shells: the script for bash, and what is completed for stores and names.

Completion runs at every press of the key, so this module imports what it needs only when it is
asked, and nothing here prints or fails.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, unquote

from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from pyfly.config_server import Bundles

_Result = TypeVar("_Result")

VARIABLE: Final = "_PYFLY_CONFIG_COMPLETE"
"""The environment variable by which a shell asks for completions."""

SHELLS: Final = ("bash", "zsh", "fish")

_MAX_KEYS: Final = 2_000
"""Bundles that are looked at to complete a name."""
_FILE: Final = "file:"
_OPEN: Final = "open"
"""The type of a completion that is not the end of a word: bash adds no space."""

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o plusdirs ;;
            file) compopt -o default ;;
            open) compopt -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class BashCompletion(ShellComplete):
    """Completion for bash that also completes words with colons, such as `file:/etc`.

    Bash splits words at colons and replaces only what follows the last one.
    """

    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and its beginning."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        return words[1:], incomplete

    def complete(self) -> str:
        """Return one line for each completion: its type and its value."""
        words, incomplete = self.get_completion_args()
        breaks = os.environ.get("COMP_WORDBREAKS", ":")
        end = incomplete.rfind(":") + 1 if ":" in breaks else 0
        return "\n".join(
            f"{item.type},{item.value.removeprefix(incomplete[:end])}"
            for item in self.get_completions(words, incomplete)
        )

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the line for one completion."""
        return f"{item.type},{item.value}"


def complete_store(incomplete: str) -> list[CompletionItem[str]]:
    """Return schemes of installed stores, directories, and the directories of `file:` URLs."""
    if incomplete.startswith(_FILE):
        return [CompletionItem(url, type=_OPEN) for url in _directory_urls(incomplete)]
    from pyfly.config_server.storage.registry import (  # noqa: PLC0415 - see the module
        installed_schemes,
    )

    schemes = (f"{scheme}:" for scheme in installed_schemes())
    found = [CompletionItem(name, type=_OPEN) for name in schemes if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="dir")]


def _directory_urls(incomplete: str) -> list[str]:
    """Return the URLs of directories, percent-encoded: shells insert them as they are."""
    above, _, beginning = incomplete.removeprefix(_FILE).rpartition("/")
    directory = f"{above}/".removeprefix("//") if above.startswith("//") else f"{above}/"
    try:
        with os.scandir(unquote(directory) or "/") as entries:
            names = sorted(
                quote(entry.name)
                for entry in entries
                if entry.name.startswith(unquote(beginning)) and entry.is_dir()
            )
    except (OSError, ValueError):
        return []
    return [
        f"{_FILE}{above}/{name}/"
        for name in names
        if name.startswith(beginning) and (beginning or not name.startswith("."))
    ]


def complete_names(
    field: str, given: Mapping[str, object], incomplete: str
) -> list[CompletionItem[str]]:
    """Return the applications, profiles or labels in a directory of bundles.

    Stores that would be reached over a network are not asked.

    Args:
        field: Which part of a key is completed.
        given: The arguments before it, by name.
        incomplete: Its beginning.
    """
    store = given.get("store")
    if not isinstance(store, str):
        return []
    wanted = {
        name: value
        for name, value in given.items()
        if name in {"application", "profile"} and name != field and value is not None
    }
    names = {
        getattr(key, field)
        for key in _keys(store)
        if all(getattr(key, name) == value for name, value in wanted.items())
    }
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def complete_freezes(given: Mapping[str, object], incomplete: str) -> list[CompletionItem[str]]:
    """Return the ids of the freezes in a directory of bundles, with their reasons.

    Args:
        given: The arguments before it, by name.
        incomplete: The beginning of an id.
    """
    from pyfly.config_server.freezes import load_freezes  # noqa: PLC0415 - see the module

    store = given.get("store")
    if not isinstance(store, str):
        return []
    freezes = _read_directory(store, lambda bundles: load_freezes(bundles.backend))
    return [
        CompletionItem(one.id, help=one.reason)
        for one in freezes or ()
        if one.id.startswith(incomplete)
    ]


def _keys(store: str) -> Sequence[object]:
    async def read(bundles: "Bundles") -> list[object]:
        keys: list[object] = []
        async for key in bundles.names():
            keys.append(key)
            if len(keys) == _MAX_KEYS:
                break
        return keys

    return _read_directory(store, read) or ()


def _read_directory(
    store: str, read: "Callable[[Bundles], Awaitable[_Result]]"
) -> "_Result | None":
    """Return what is read in a directory; `None` for another store, and if it cannot be read."""
    import asyncio  # noqa: PLC0415 - see the module

    from pyfly.config_cli._stores.location import find_store  # noqa: PLC0415 - see the module
    from pyfly.config_cli._stores.opening import open_store  # noqa: PLC0415 - see the module
    from pyfly.config_core import ConfigError  # noqa: PLC0415 - see the module

    async def run() -> _Result:
        async with open_store(store) as bundles:
            return await read(bundles)

    try:
        return asyncio.run(run()) if find_store(store).url.startswith(_FILE) else None
    except (ConfigError, OSError, ValueError):
        return None
