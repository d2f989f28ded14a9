"""Principals and their rights. This package does not know HTTP.

`pyfly.config_server.http.authentication` turns requests into principals.
"""
