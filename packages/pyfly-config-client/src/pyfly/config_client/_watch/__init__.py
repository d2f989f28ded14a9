"""How a running program stays current."""
