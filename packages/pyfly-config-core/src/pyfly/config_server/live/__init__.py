"""The live state of one server process: its counters, its answers, the changes of its stores.

This package does not know HTTP.
"""
