"""Principals and their rights. This room knows nothing about HTTP.

`pyfly.config_server.http.authentication` turns requests into principals.
"""
