"""Principals, their rules, and the decision about a right. This package does not know HTTP.

`pyfly.config_server.http.authentication` turns requests into principals.
"""

from pyfly.config_server.access.needs import Need, missing
from pyfly.config_server.access.patterns import BundlePattern, PathPattern
from pyfly.config_server.access.principal import ANONYMOUS, Principal
from pyfly.config_server.access.rights import SERVER_RIGHTS, Right
from pyfly.config_server.access.rules import (
    SERVER,
    Decision,
    OpenedFile,
    Rule,
    Target,
    WholeServer,
    decide,
    parse_target,
)

__all__ = [
    "ANONYMOUS",
    "SERVER",
    "SERVER_RIGHTS",
    "BundlePattern",
    "Decision",
    "Need",
    "OpenedFile",
    "PathPattern",
    "Principal",
    "Right",
    "Rule",
    "Target",
    "WholeServer",
    "decide",
    "missing",
    "parse_target",
]
