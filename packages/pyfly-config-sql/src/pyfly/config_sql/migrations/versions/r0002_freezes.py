"""The text of the freezes.

On MySQL and MariaDB a table cannot be taken back, so the step can be repeated after a crash.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    unicode = sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
    op.create_table(
        "pyfly_config_freezes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", unicode, nullable=False),
        if_not_exists=True,
    )
