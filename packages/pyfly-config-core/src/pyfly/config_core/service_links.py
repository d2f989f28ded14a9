"""Environment variables that Kubernetes injects for Services. Pure functions.

For a Service called `pyfly-config-server` every Pod of its namespace gets variables that begin
with `PYFLY_CONFIG_SERVER_`, as settings do: `PYFLY_CONFIG_SERVER_PORT=tcp://10.0.0.1:8888`. So do
the variables of Services with longer names, such as `pyfly-config-server-token`. The variables of
clients, which begin with `PYFLY_CONFIG_`, have the same problem. The rules of Kubernetes:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import ipaddress
import re
from typing import Final

__all__ = ["is_service_link", "is_service_url"]

# Compiled when they are used: most environments have no such variables, and starts are counted.
_URL: Final = r"(?:tcp|udp|sctp)://[\[\]0-9A-Fa-f:.]+:[0-9]{1,5}"
_PROTOCOL: Final = r"tcp|udp|sctp"
_NUMBER: Final = r"[0-9]{1,5}"
_PORT: Final = r"(?:.+_)?PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)"
_URL_NAMES: Final = rf"(?:.+_)?PORT|{_PORT}"
_PROTOCOL_NAMES: Final = rf"{_PORT}_PROTO"
_NUMBER_NAMES: Final = rf"{_PORT}_PORT|(?:.+_)?SERVICE_PORT(?:_.+)?"
_ADDRESSES: Final = rf"{_PORT}_ADDR|(?:.+_)?SERVICE_HOST"


def is_service_url(name: str, value: str) -> bool:
    """True if a variable has the name and the value of an injected address with a protocol.

    A user never sets a port to such a value, unlike the other injected forms.

    >>> is_service_url("REDIS_PORT", "tcp://10.0.0.1:6379"), is_service_url("REDIS_PORT", "6379")
    (True, False)
    """
    return (
        "PORT" in name
        and re.fullmatch(_URL_NAMES, name) is not None
        and re.fullmatch(_URL, value) is not None
    )


def is_service_link(name: str, value: str) -> bool:
    """True if a variable has both the name and the value of an injected one.

    Args:
        name: The variable's name without the prefix of settings.
        value: Its value.

    >>> is_service_link("PORT", "tcp://10.0.0.1:8888"), is_service_link("PORT", "8888")
    (True, False)
    """
    if re.fullmatch(_ADDRESSES, name):
        return _is_address(value)
    is_protocol = re.fullmatch(_PROTOCOL_NAMES, name) and re.fullmatch(_PROTOCOL, value)
    is_number = re.fullmatch(_NUMBER_NAMES, name) and re.fullmatch(_NUMBER, value)
    return bool(is_protocol or is_number) or is_service_url(name, value)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
