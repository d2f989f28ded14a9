"""Configuration in a SQL database: SQLite, PostgreSQL, MySQL, MariaDB.

`SqlConfigBackend` is the store. Open it by URL with `pyfly.config_server.open_backend`, or pass
your own engine. Statements, schema and driver errors have one module each.
"""

from pyfly.config_sql._backend import SqlConfigBackend

__all__ = ["SqlConfigBackend"]
