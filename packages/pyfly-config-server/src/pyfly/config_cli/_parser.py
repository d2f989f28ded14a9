"""What can be said on the command line, and the help that teaches it."""

import argparse
import textwrap
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version

from pyfly.config_cli import _bundles, _copy, _diff, _edit, _encryption, _upgrade
from pyfly.config_cli._arguments import Parser
from pyfly.config_cli._exit import MEANINGS
from pyfly.config_cli._known import KNOWN, PREFIX
from pyfly.config_cli._secret_files import FILE_SETTINGS
from pyfly.config_cli._sources import add_arguments, add_settings_argument
from pyfly.config_core import DEFAULT_LABEL

_DESCRIPTION = """\
Keep configuration in a store, and serve it.

A STORE is a directory, or the URL of any store that is installed: file:///etc/pyfly. A bundle
is named by an APPLICATION, a PROFILE and a label, and has a VERSION that names its content.
"""
_SERVE = """\
Serve configuration over HTTP, to Spring Boot and to every other client of its protocol.

A directory holds one directory per label, and in it <application>-<profile>.yaml (.yml, .json).
"""
_PUT = """\
Store a bundle: a whole one from --file, or a change of single properties.

A whole bundle is created; to replace one, say which version with --expect. A change reads what
is stored, and does not overwrite what somebody else stores meanwhile. Values are read as YAML:
8080 is a number, '8080' a text. Keep secrets off the command line: use --file.

A text store writes the file anew, in its own format; comments are not kept. When that loses
something, this is said before, and on a terminal --yes agrees to it.
"""
_EDIT = """\
Open a bundle as YAML in $VISUAL, $EDITOR or vi, and store what comes back.

Nothing is stored when somebody else has changed the bundle meanwhile, or when the text does not
parse; your text is kept. A text store writes the file anew: its comments are not kept.
"""
_DIFF = """\
Show what has to change in one bundle to make it another: two versions, profiles, labels,
applications or stores. '-' is there before, '+' is there after.
"""
_ENCRYPT = """\
Encrypt a text with the key of the server, and print what to store instead of it: the value
'{cipher}...'. The server decrypts it for its clients.

The text is asked for, or read from standard input: on a command line others may read it. The
key is that of the settings: see 'pyfly-config serve --help'.
"""
_COPY = """\
Copy bundles from one store into another.

What the other store holds already is left alone, unless --overwrite is said; and even then
nothing is overwritten that was stored after it was looked at. An interrupted copy goes on when
the command is repeated. A store that cannot save conditionally is written with --overwrite only.
Comments are not copied. A dry run names every bundle and what would become of it. Ends with 3
when some differ and were left alone, and with 4 when no bundle matches.
"""


_UPGRADE = """\
Bring the tables of a database to the schema that the installed package needs, and make them when
there are none. What is stored stays. A SQLite file is upgraded by itself when it is used.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; `run` of its result is the command, and takes that result."""
    codes = "\n".join(f"  {code:<4} {text}" for code, text in MEANINGS.items())
    parser = Parser(
        prog="pyfly-config",
        description=_DESCRIPTION,
        epilog=f"exit codes:\n{codes}\n\n'pyfly-config COMMAND --help' shows examples.",
    )
    shown = f"%(prog)s {version('pyfly-config-litestar')}"
    parser.add_argument("--version", action="version", version=shown)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, description: str, epilog: str) -> Parser:
        return commands.add_parser(name, help=text, description=description, epilog=epilog)

    serve = add("serve", "serve configuration over HTTP", _SERVE, _serve_epilog())
    serve.set_defaults(run=None)
    add_arguments(serve)
    serve.elsewhere = {_option(name): PREFIX + name for name in KNOWN}
    _add_readers(add)
    _add_writers(add)
    _add_for_two(add)
    _add_encryption(add)
    _add_for_databases(add)
    return parser


def _option(setting: str) -> str:
    return "--" + setting.lower().replace("_", "-")


_Add = Callable[[str, str, str, str], Parser]
_Run = Callable[[argparse.Namespace], Awaitable[int]]


def _add_readers(add: _Add) -> None:
    listing = add(
        "list",
        "show which bundles there are",
        "Show the names and versions of bundles, and what is wrong with broken ones. Ends with 1\n"
        "when one is broken.",
        _examples("list ./config", "list ./config --application orders --json"),
    )
    _declare(listing, _bundles.show_list, bundle=False, json=True)
    _add_filters(listing)

    get = add(
        "get",
        "print a bundle",
        "Print a bundle as it is stored, as YAML; its version goes to standard error.",
        _examples("get ./config orders prod", "get ./config orders prod --label release-1.4"),
    )
    _declare(get, _bundles.get, json=True)
    get.add_argument("--version", help="an old version, where the store has a history")

    history = add(
        "history",
        "show the changes of a bundle",
        "Show the changes of a bundle, the newest first, where the store has a history.",
        _examples(
            "history sqlite:///config.db orders prod",
            "history sqlite:///config.db orders prod --limit 500 --json",
        ),
    )
    _declare(history, _bundles.history, json=True)
    history.add_argument(
        "--limit", metavar="N", default="20", help="how many versions at most (default: 20)"
    )


def _add_writers(add: _Add) -> None:
    put = add(
        "put",
        "store a bundle, or change single properties",
        _PUT,
        _examples(
            "put ./config orders prod --file orders.yaml",
            "put ./config orders prod --file - --format json --expect any < orders.json",
            "put ./config orders prod server.port=9000 'hosts[0]=db1' --remove debug",
        ),
    )
    _declare(put, _bundles.put, json=True)
    put.add_argument("assignments", nargs="*", metavar="KEY=VALUE", help="a property to set")
    put.add_argument("--file", help="the whole bundle, as YAML or JSON; '-' is standard input")
    put.add_argument("--format", choices=("yaml", "json"), help="instead of what its name says")
    put.add_argument(
        "--remove", metavar="KEY", action="append", default=[], help="a property to remove"
    )
    put.add_argument("--yes", action="store_true", help="do not ask before comments are lost")
    _add_expect(put, "absent with --file, what was read otherwise")

    edit = add(
        "edit", "change a bundle in an editor", _EDIT, _examples("edit ./config orders prod")
    )
    _declare(edit, _edit.edit)

    delete = add(
        "delete",
        "remove a bundle",
        "Remove a bundle, under a condition. Ends with 4 when it was not there.",
        _examples("delete ./config orders prod --expect any"),
    )
    _declare(delete, _bundles.delete, json=True)
    _add_expect(delete, None)

    rollback = add(
        "rollback",
        "store an old version anew",
        "Store the content of an old version as a new one, where the store has a history.",
        _examples("rollback sqlite:///config.db orders prod 41"),
    )
    _declare(rollback, _bundles.rollback, json=True)
    rollback.add_argument("version", metavar="VERSION", help="as 'history' shows it")
    _add_expect(rollback, "what is stored now")


def _add_for_two(add: _Add) -> None:
    diff = add(
        "diff",
        "compare two bundles",
        _DIFF,
        _examples(
            "diff ./config orders dev --to-profile prod",
            "diff ./config orders prod --to-label release-1.4",
            "diff ./config orders prod --to-store file:///etc/pyfly --exit-code",
            "diff sqlite:///config.db orders prod --version 41",
        ),
    )
    _declare(diff, _diff.diff, json=True)
    diff.add_argument("--version", help="compare this old version")
    for what in ("application", "profile", "label", "version", "store"):
        diff.add_argument(f"--to-{what}", help=f"{what} of the bundle to compare with")
    diff.add_argument("--exit-code", action="store_true", help="end with 3 when they differ")

    copy = add(
        "copy",
        "copy bundles into another store",
        _COPY,
        _examples("copy ./config file:///etc/pyfly --dry-run", "copy ./config ./new --label main"),
    )
    _declare(copy, _copy.copy, bundle=False, json=True)
    copy.add_argument("to", metavar="TO", help="the store to write")
    _add_filters(copy)
    copy.add_argument("--overwrite", action="store_true", help="replace what differs")
    copy.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")


def _add_encryption(add: _Add) -> None:
    encrypt = add(
        "encrypt",
        "encrypt a text for a bundle",
        _ENCRYPT,
        _examples("encrypt --settings server.toml", "encrypt --key 2027 < password.txt"),
    )
    encrypt.set_defaults(run=_encryption.encrypt)
    encrypt.add_argument("--key", metavar="NAME", help="one of several keys, by its name")
    decrypt = add(
        "decrypt",
        "decrypt a value of a bundle",
        "Print the clear text of a stored value, with '{cipher}' or without.",
        _examples("decrypt '{cipher}AQB3...' --settings server.toml"),
    )
    decrypt.set_defaults(run=_encryption.decrypt)
    for parser in (encrypt, decrypt):
        parser.add_argument("text", nargs="?", metavar="TEXT", help="(default: standard input)")
    key = add(
        "key",
        "print the public key",
        "Print the public part of an RSA key, as OpenSSH writes it.",
        _examples("key --settings server.toml"),
    )
    key.set_defaults(run=_encryption.show_key)
    for parser in (encrypt, decrypt, key):
        add_settings_argument(parser)


def _add_for_databases(add: _Add) -> None:
    text = "look after the tables of a database"
    database = add("db", text, text.capitalize() + ".", "")
    upgrade = database.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "upgrade",
        help="make the tables, or bring them up to date",
        description=_UPGRADE,
        epilog=_examples("db upgrade postgresql://pyfly@db.example/config"),
    )
    _declare(upgrade, _upgrade.upgrade, bundle=False, json=True)


def _declare(
    parser: argparse.ArgumentParser, run: _Run, *, bundle: bool = True, json: bool = False
) -> None:
    parser.set_defaults(run=run)
    parser.add_argument("store", metavar="STORE", help="a directory or a URL")
    if bundle:
        parser.add_argument("application", metavar="APPLICATION")
        parser.add_argument("profile", metavar="PROFILE")
        parser.add_argument("--label", default=DEFAULT_LABEL, help="(default: %(default)s)")
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for what in ("application", "profile", "label"):
        parser.add_argument(f"--{what}", help=f"only bundles of this {what}")


def _add_expect(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--expect",
        metavar="VERSION|absent|any",
        required=default is None,
        help="what may be stored there now" + (f" (default: {default})" if default else ""),
    )


def _examples(*lines: str) -> str:
    return "\n".join(["examples:", *(f"  pyfly-config {line}" for line in lines)])


def _named(names: Iterable[str]) -> str:
    return textwrap.fill(", ".join(sorted(names)), 90)


def _serve_epilog() -> str:
    rows = "\n".join(
        f"  {PREFIX + name}\n      {setting.text}"
        + (f" (default: {setting.default})" if setting.default else "")
        for name, setting in KNOWN.items()
    )
    return f"""\
examples:
  pyfly-config serve ./config
  pyfly-config serve file:///etc/pyfly --port 9000 --base-path ""
  {PREFIX}TOKEN=... pyfly-config serve ./config --host 0.0.0.0

settings in the environment (an argument wins):
{rows}

For each of these, the same name with _FILE at its end names a file that holds the value:
{_named(FILE_SETTINGS.values())}

exit codes: 0 stopped by a signal, 1 the store failed, 2 an argument or a setting is wrong
"""
