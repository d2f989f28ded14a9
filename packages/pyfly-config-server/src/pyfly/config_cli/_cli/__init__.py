"""How the command line is read: commands, parameters, suggestions, completion in shells."""
