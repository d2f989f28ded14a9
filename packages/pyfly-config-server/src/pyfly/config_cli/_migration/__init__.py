"""Comparing what another server answers with what a store makes: before clients are moved."""
