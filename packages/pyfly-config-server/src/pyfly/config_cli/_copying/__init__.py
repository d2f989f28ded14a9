"""Copies between stores: planning, copying, comparing two stores, reporting."""
