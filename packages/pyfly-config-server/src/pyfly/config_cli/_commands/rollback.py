"""`rollback`: stores an old version again, as the newest one."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    BundleArguments,
    bundle_parameters,
    commit_options,
    expect_option,
    json_option,
)
from pyfly.config_cli._console.output import print_note
from pyfly.config_cli._stores.lost_text import describe_lost_text
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.writing import (
    describe_commit,
    expectation,
    load_current,
    print_change,
)
from pyfly.config_server.storage import SupportsHistory, ability


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackArguments(BundleArguments):
    """Which version to store again, and under which condition."""

    version: str
    expect: str | None
    author: str | None
    message: str | None
    as_json: bool


async def roll_back(arguments: RollbackArguments) -> int:
    """Store an old version again; return the exit code."""
    key, version = arguments.key, arguments.version
    async with open_store(arguments.store) as bundles:
        _, expected = await load_current(bundles, key)
        if arguments.expect is not None:
            expected = expectation(arguments.expect)
        if ability(bundles.backend, SupportsHistory) is not None:
            old = await bundles.load_version(key, version)
            if (remark := await describe_lost_text(bundles, key, old.properties)) is not None:
                print_note(remark)
        info = describe_commit(arguments.author, arguments.message)
        new = await bundles.rollback(
            key, version=version, expected=expected, author=info.author, message=info.message
        )
    print_change(key, new, what=f"rolled back to {version}", as_json=arguments.as_json)
    return 0


COMMAND: Final = Command(
    "rollback",
    callback=callback_of(roll_back, RollbackArguments),
    params=[
        *bundle_parameters(),
        click.Argument(["version"]),
        expect_option("the version that is stored now"),
        *commit_options(),
        json_option(),
    ],
    help=(
        "Store the content of an old version as a new one, if the store has a history. VERSION is "
        "one that 'history' shows."
    ),
    examples=["pyfly-config rollback sqlite:///config.db orders prod 41"],
)
