"""The steps from one schema to the next, for Alembic. A step is never changed once published."""
