"""Editing texts: another tree in the same text, with as few changes as possible.

A text is read into nodes with their positions, and lines are replaced. Stores use `formats.edits`.
"""
