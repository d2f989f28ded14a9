"""The access file on the side of the command: finding it, changing it, describing it."""
