"""The commands: one module for each, and `catalogue`, which lists them."""
