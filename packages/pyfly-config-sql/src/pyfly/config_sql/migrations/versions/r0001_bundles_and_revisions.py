"""Bundles, their revisions, and the sequence of versions.

On MySQL and MariaDB a table cannot be taken back, so every part can be repeated after a crash.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0001"
down_revision = None


def _name(length: int) -> sa.String:
    ascii_ = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return (
        sa.String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(ascii_, "mysql", "mariadb")
    )


def upgrade() -> None:
    """Make the tables."""
    ascii_ = sa.Text().with_variant(
        mysql.LONGTEXT(charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )
    unicode = sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "pyfly_config_bundle",
        sa.Column("label", _name(128), primary_key=True),
        sa.Column("application", _name(128), primary_key=True),
        sa.Column("profile", _name(64), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "pyfly_config_revision",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("label", _name(128), nullable=False),
        sa.Column("application", _name(128), nullable=False),
        sa.Column("profile", _name(64), nullable=False),
        sa.Column("saved_at", moment, nullable=False),
        sa.Column("author", unicode),
        sa.Column("message", unicode),
        sa.Column("properties", ascii_),
        sa.UniqueConstraint("label", "application", "profile", "version"),
        if_not_exists=True,
    )
    op.create_table(
        "pyfly_config_sequence",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    sequence = sa.table("pyfly_config_sequence", sa.column("id"), sa.column("version"))
    if op.get_bind().execute(sa.select(sequence.c.id)).first() is None:
        op.execute(sequence.insert().values(id=1, version=0))
