"""Text and trees: what the bytes of a file mean, and the bytes that a tree becomes."""
