"""The tables of the database, and their upgrades.

`sequence` has one row with the version of the last change. Every writer locks it first, so changes
are made one after the other, and a higher version was made later. `bundle` has the current version
of each bundle. `revision` has the content of every version, and only grows. `freezes` has at most
one row, with the text of the freezes.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects import mysql, postgresql

from pyfly.config_core import BackendError

REVISIONS: Final[tuple[str, ...]] = ("0001", "0002")
"""All schemas, the current one last: the files of `migrations/versions`."""
VERSION_TABLE: Final = "pyfly_config_schema"

METADATA: Final = MetaData()
_LOCK: Final = 0x7079666C79  # an arbitrary number: "pyfly"


def _name(length: int) -> String:
    """Return a column type for names, which are ASCII and compared by their bytes."""
    ascii_ = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return (
        String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(ascii_, "mysql", "mariadb")
    )


_ASCII: Final = Text().with_variant(
    mysql.LONGTEXT(charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
)
_UNICODE: Final = Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
_MOMENT: Final = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

sequence: Final = Table(
    "pyfly_config_sequence",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
bundle: Final = Table(
    "pyfly_config_bundle",
    METADATA,
    Column("label", _name(128), primary_key=True),
    Column("application", _name(128), primary_key=True),
    Column("profile", _name(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
)
revision: Final = Table(
    "pyfly_config_revision",
    METADATA,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("label", _name(128), nullable=False),
    Column("application", _name(128), nullable=False),
    Column("profile", _name(64), nullable=False),
    Column("saved_at", _MOMENT, nullable=False, doc="UTC"),
    Column("author", _UNICODE),
    Column("message", _UNICODE),
    Column("properties", _ASCII, doc="JSON; NULL when the change removed the bundle"),
    UniqueConstraint("label", "application", "profile", "version"),
)

freezes: Final = Table(
    "pyfly_config_freezes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("text", _UNICODE, nullable=False),
)


def read_revision(connection: Connection) -> str | None:
    """Return the schema of the database, `None` if it has no tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    table = Table(VERSION_TABLE, MetaData(), Column("version_num", String))
    return connection.execute(select(table.c.version_num)).scalar()


def is_old(found: str | None) -> bool:
    """True if the schema needs an upgrade."""
    return found is None or (found in REVISIONS and found != REVISIONS[-1])


def check_revision(found: str | None) -> None:
    """Refuse another schema than the current one.

    Raises:
        BackendError: The schema is missing, older or newer. The message says what to do.
    """
    if found == REVISIONS[-1]:
        return
    if found is None:
        raise BackendError("the database has no tables yet; run: pyfly-config db upgrade URL")
    check_known(found)
    raise BackendError(
        f"the tables have the schema {found}, {REVISIONS[-1]} is needed; "
        "run: pyfly-config db upgrade URL"
    )


def upgrade(connection: Connection) -> list[str]:
    """Upgrade the database to the current schema, in the running transaction.

    Returns:
        The applied schemas; empty if the schema was current.

    Raises:
        BackendError: The database has a newer schema.
    """
    if connection.dialect.name == "postgresql":  # two upgrades would make the same table
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    found = read_revision(connection)
    if found is not None:
        check_known(found)
    missing = REVISIONS[REVISIONS.index(found) + 1 :] if found else REVISIONS
    if missing:
        from alembic import command  # noqa: PLC0415 - slow to import, seldom needed
        from alembic.config import Config  # noqa: PLC0415 - the same

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "pyfly.config_sql:migrations")
        command.upgrade(config, REVISIONS[-1])
    return list(missing)


def check_known(found: str) -> None:
    """Refuse a schema of a later version of this package.

    Raises:
        BackendError: The schema is unknown; the message names it.
    """
    if found not in REVISIONS:
        raise BackendError(
            f"the tables have the schema {found!r}, which is newer than this pyfly-config-sql; "
            "install the version of it that made them, or a later one"
        )
