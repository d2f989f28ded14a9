"""Copies between stores: which bundle becomes which, copying them, comparing two stores."""
