"""A configuration server in memory for the tests of programs that use a client.

No port, no sleep: requests go straight to the server's own controller. Its distribution part
comes with `pyfly-config-core`, which this package needs anyway, and is loaded on first use.
"""

from pyfly.config_client.testing._double import ConfigServerDouble, Fault

__all__ = ["ConfigServerDouble", "Fault"]
