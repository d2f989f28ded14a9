"""`unfreeze`: removes freezes, so that writing is possible again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._access.moments import present
from pyfly.config_cli._cli.command import PROGRAM, Command, callback_of
from pyfly.config_cli._cli.parameters import (
    FreezeType,
    author_option,
    json_option,
    settings_option,
    store_argument,
)
from pyfly.config_cli._console.output import print_json, print_note, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._freezing.freeze_audit import events_of, recorded
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.writing import describe_commit
from pyfly.config_core import BackendError, BackendUnavailableError, UnsupportedOperationError
from pyfly.config_server import Bundles
from pyfly.config_server.freezes import Freeze, change_freezes, clear_freezes, load_freezes

_HELP: Final = """\
Remove freezes, named by their ids, which 'freezes' and every refused write show. Writing is
possible again at once, unless another freeze covers the bundle.

--ended removes those that have ended, --all removes all, also if their text in the store is broken.

If the settings of the server name an audit log, this is recorded there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeArguments:
    """Which freezes to remove."""

    store: str
    ids: tuple[str, ...]
    ended: bool
    all: bool
    author: str | None
    settings: str | None
    as_json: bool


async def unfreeze(arguments: UnfreezeArguments) -> int:
    """Remove freezes; return the exit code."""
    if sum((bool(arguments.ids), arguments.ended, arguments.all)) != 1:
        raise ArgumentError("name the freezes by their ids, or add --ended or --all")
    author = describe_commit(arguments.author, None).author
    async with open_store(arguments.store) as bundles:
        chosen = _chosen(await _load(bundles, arguments), arguments)
        ids = [one.id for one in chosen]
        message = f"Unfreeze {', '.join(str(one.on) for one in chosen) or 'everything'}"

        async def store() -> None:
            backend = bundles.backend
            if arguments.all:
                return await clear_freezes(backend, author=author, message=message)

            def change(before: Sequence[Freeze]) -> Sequence[Freeze]:
                return [one for one in before if one.id not in ids]

            return await change_freezes(backend, change, author=author, message=message)

        if chosen or arguments.all:
            events = events_of("unfreeze", chosen, author=author)
            await recorded(store, events, settings=arguments.settings)
    if arguments.as_json:
        print_json({"removed": [*ids]})
    else:
        print_result(f"removed: {', '.join(ids) or 'nothing'}")
    return 0


async def _load(bundles: Bundles, arguments: UnfreezeArguments) -> Sequence[Freeze]:
    """Return the freezes; with `--all` none if they cannot be read, because they go anyway."""
    try:
        return await load_freezes(bundles.backend)
    except (BackendUnavailableError, UnsupportedOperationError):
        raise
    except BackendError:
        if not arguments.all:
            raise
        print_note("the text of the freezes is broken; it is removed as a whole")
        return ()


def _chosen(freezes: Sequence[Freeze], arguments: UnfreezeArguments) -> list[Freeze]:
    """Return the freezes to remove."""
    known = [one.id for one in freezes]
    for unknown in sorted({*arguments.ids} - {*known}):
        raise ArgumentError(
            f"there is no freeze {unknown!r}; there are: {', '.join(known) or 'none'}"
        )
    now = present()
    return [
        one
        for one in freezes
        if arguments.all
        or one.id in arguments.ids
        or (arguments.ended and not one.is_in_force(now))
    ]


COMMAND: Final = Command(
    "unfreeze",
    callback=callback_of(unfreeze, UnfreezeArguments),
    params=[
        store_argument(),
        click.Argument(["ids"], nargs=-1, type=FreezeType(), metavar="[ID]..."),
        click.Option(["--ended"], is_flag=True, help="Every freeze that has ended."),
        click.Option(["--all"], is_flag=True, help="Every freeze."),
        author_option(),
        settings_option(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} unfreeze ./config k3vq7a",
        f"{PROGRAM} unfreeze ./config --ended",
    ],
)
