"""Stores made of text files: layouts, safe access to files, threads with deadlines."""
