"""What is kept on the disk for the day when no server answers."""
