"""Freezes as the command line names, shows and records them."""
