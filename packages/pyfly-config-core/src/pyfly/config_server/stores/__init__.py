"""The stores of this distribution: in memory, and in the files of a directory."""
