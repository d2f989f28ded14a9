"""The stores of this distribution: memory and directories."""
