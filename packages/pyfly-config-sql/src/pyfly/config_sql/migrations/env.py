"""How Alembic runs the steps: on the connection, and in the transaction, that it is handed."""

from alembic import context

from pyfly.config_sql._schema import VERSION_TABLE


def run() -> None:
    """Run the steps that are missing."""
    context.configure(
        connection=context.config.attributes["connection"], version_table=VERSION_TABLE
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # as Alembic names it; an import by anybody else runs nothing
    run()
