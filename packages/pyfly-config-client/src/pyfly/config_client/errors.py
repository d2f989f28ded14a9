"""The client's branch of the error tree.

    ConfigClientError
    ├── ServerUnreachableError   no answer: refused, timed out, cut off
    ├── ServerRejectedError      an answer with another status than 200
    └── InvalidPayloadError      an answer that is not the configuration that was asked for

No message shows a credential or a value.
"""

from pyfly.config_core import ConfigError

__all__ = [
    "ConfigClientError",
    "InvalidPayloadError",
    "ServerRejectedError",
    "ServerUnreachableError",
]


class ConfigClientError(ConfigError):
    """No configuration could be had from the server."""


class ServerUnreachableError(ConfigClientError):
    """The server did not give a whole answer in time; `__cause__` is the library's error."""


class ServerRejectedError(ConfigClientError):
    """The server answered with a status that is no configuration."""

    def __init__(self, url: str, status: int, advice: str, problem: object = None) -> None:
        super().__init__(f"{url} answered {status}: {advice}")
        self.url = url
        """Without credentials."""
        self.status = status
        """The HTTP status code."""
        self.problem = problem
        """The JSON error document, where the server sent one."""


class InvalidPayloadError(ConfigClientError, ValueError):
    """The answer is not the configuration that was asked for, or did not arrive whole."""
