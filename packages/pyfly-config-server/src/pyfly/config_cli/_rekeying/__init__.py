"""Encrypting the values of a store with another key."""
