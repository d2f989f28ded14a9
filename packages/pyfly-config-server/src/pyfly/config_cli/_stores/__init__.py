"""Stores and bundles as the command line names them, and the changes that commands make."""
