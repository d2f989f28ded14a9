"""The list of commands. A new command is a new module with a `COMMAND`, and one line here."""

from typing import Final

from pyfly.config_cli._cli.command import CommandEntry

_PACKAGE: Final = "pyfly.config_cli._commands"


def _entry(name: str, module: str, summary: str, *other_names: str) -> CommandEntry:
    return CommandEntry(name, f"{_PACKAGE}.{module}", summary, other_names)


COMMANDS: Final = (
    _entry("serve", "serve", "Serve configuration over HTTP."),
    _entry("list", "list_bundles", "Show which bundles there are."),
    _entry("get", "get_bundle", "Print a bundle."),
    _entry("history", "history", "Show the changes of a bundle."),
    _entry("put", "put_bundle", "Store a bundle, or change single properties."),
    _entry("edit", "edit_bundle", "Change a bundle in an editor."),
    _entry("delete", "delete_bundle", "Remove a bundle."),
    _entry("rollback", "rollback", "Store an old version again."),
    _entry("freeze", "freeze", "Switch writing off, with a reason."),
    _entry("unfreeze", "unfreeze", "Switch writing on again."),
    _entry("freezes", "list_freezes", "Show what is frozen."),
    _entry("diff", "diff_bundles", "Compare two bundles."),
    _entry("copy", "copy_bundles", "Copy bundles into another store."),
    _entry("compare", "compare_servers", "Compare a running server with stores."),
    _entry("encrypt", "encrypt", "Encrypt a text for a bundle."),
    _entry("decrypt", "decrypt", "Decrypt a value of a bundle."),
    _entry("rekey", "rekey", "Encrypt the values of a store with another key."),
    _entry("key", "public_key", "Print the public key."),
    _entry("access", "access", "Say who may do what: principals, rules, tokens."),
    _entry("db", "database", "Create and upgrade the tables of a database."),
    _entry("settings", "settings", "Describe the settings of the server.", "config"),
    _entry("new-backend", "new_backend", "Make the Python package of a new store."),
    _entry("completion", "print_completion", "Print the completion script for a shell."),
)
"""The commands in the order of `--help`."""

ACCESS_COMMANDS: Final = (
    _entry("add", "access_add", "Add a principal, and print its token."),
    _entry("rotate", "access_rotate", "Make a further token of a principal."),
    _entry("revoke", "access_revoke", "Remove tokens."),
    _entry("deactivate", "access_deactivate", "Refuse a principal, which stays as it is."),
    _entry("activate", "access_activate", "Let a principal sign in again."),
    _entry("list", "access_list", "Show principals, tokens and rules."),
    _entry("check", "access_check", "Check the file; say which rule decides."),
    _entry("schema", "access_schema", "Print a JSON schema of the access file."),
)

DATABASE_COMMANDS: Final = (
    _entry("upgrade", "upgrade_database", "Create the tables, or bring them up to date."),
)

SETTINGS_COMMANDS: Final = (
    _entry("show", "show_settings", "Show the settings in effect and where they were set."),
    _entry("schema", "settings_schema", "Print a JSON schema of the settings file."),
    _entry("table", "settings_table", "Print a table of all settings."),
)
