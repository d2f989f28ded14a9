"""`delete`: removes one bundle."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    BundleArguments,
    bundle_parameters,
    commit_options,
    expect_option,
    json_option,
)
from pyfly.config_cli._console.output import print_note
from pyfly.config_cli._exit_codes import EXIT_NOT_FOUND
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.writing import describe_commit, expectation, print_change
from pyfly.config_core import ConfigConflictError
from pyfly.config_server.storage import ABSENT, ANY, PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteArguments(BundleArguments):
    """What to remove, and under which condition."""

    expect: str
    author: str | None
    message: str | None
    as_json: bool


async def delete_bundle(arguments: DeleteArguments) -> int:
    """Remove one bundle; return the exit code."""
    key = arguments.key
    expected = expectation(arguments.expect)
    info = describe_commit(arguments.author, arguments.message)
    async with open_store(arguments.store) as bundles:
        try:
            await bundles.delete(
                key,
                expected=PRESENT if expected is ANY else expected,
                author=info.author,
                message=info.message,
            )
        except ConfigConflictError as error:
            if error.current is not None:
                raise
            expected = ABSENT
    if expected is ABSENT:
        print_note(f"{key}: was not there")
        return EXIT_NOT_FOUND
    print_change(key, None, what="removed", as_json=arguments.as_json)
    return 0


COMMAND: Final = Command(
    "delete",
    callback=callback_of(delete_bundle, DeleteArguments),
    params=[*bundle_parameters(), expect_option(None), *commit_options(), json_option()],
    help="Remove a bundle, under a condition. Ends with 4 if it was not there.",
    examples=["pyfly-config delete ./config orders prod --expect any"],
)
