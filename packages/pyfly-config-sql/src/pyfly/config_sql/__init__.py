"""Configuration in a SQL database: SQLite, PostgreSQL, MySQL, MariaDB.

`SqlConfigBackend` is the store; it is opened by URL through `pyfly.config_server.open_backend`,
or around an engine of your own. Statements, schema and driver errors have one module each.
"""

from pyfly.config_sql._backend import SqlConfigBackend

__all__ = ["SqlConfigBackend"]
