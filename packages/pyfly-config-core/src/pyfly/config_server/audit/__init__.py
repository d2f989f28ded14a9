"""The audit log: what is recorded about requests, and where it is kept. This package has no HTTP.

`pyfly.config_server.http.auditing` makes events of requests.
"""

from pyfly.config_server.audit.audit import Audit
from pyfly.config_server.audit.events import AuditEvent
from pyfly.config_server.audit.outputs import AuditFile, StandardOutput, check_audit_file
from pyfly.config_server.audit.sinks import AuditError, AuditSink
from pyfly.config_server.audit.writer import AuditWriter

__all__ = [
    "Audit",
    "AuditError",
    "AuditEvent",
    "AuditFile",
    "AuditSink",
    "AuditWriter",
    "StandardOutput",
    "check_audit_file",
]
