"""One live value: its binding, its rejection, the callbacks that are due. No input or output."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from pyfly.config_client._properties import Properties
from pyfly.config_client._types import type_name
from pyfly.config_client.errors import ConfigClientError, printable

T = TypeVar("T")

_LOG: Final = logging.getLogger("pyfly.config_client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why the current configuration is not used for a live value. Shows no values."""

    reason: str
    """Names all properties that are missing or cannot be converted."""
    version: str | None
    """The version of the rejected configuration; `None` if the server did not send one."""
    when: datetime
    """When it was rejected, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Notice:
    """One call of a callback that is due."""

    binding: "Binding[Any]"
    name: str
    """`on_change` or `on_rejected`, for the log."""
    call: Callable[[], object]


class Binding(Generic[T]):
    """The value of a class, bound to the properties below a prefix, and its callbacks."""

    value: T
    """Absent before `begin`."""

    def __init__(self, prefix: str, model: type[T]) -> None:
        self.prefix: Final = prefix
        self.model: Final = model
        self.watches = False
        """True if it needs a watcher while it is open."""
        self.rejected: Rejection | None = None
        self.on_change: Final[list[Callable[[T, T], object]]] = []
        self.on_rejected: Final[list[Callable[[Rejection], object]]] = []

    def __repr__(self) -> str:
        return f"{self.prefix!r}, {type_name(self.model)}"

    def begin(self, properties: Properties) -> None:
        """Take the first value.

        Raises:
            ConfigClientError: The properties do not fit the class; see `Properties.bind`.
        """
        self.value = properties.bind(self.prefix, self.model)
        self.rejected = None

    def follow(self, properties: Properties) -> list[Notice]:
        """Take the value of a new configuration, or reject it. Returns the callbacks to call."""
        try:
            new = properties.bind(self.prefix, self.model)
            same = bool(new == self.value)
        except Exception as error:  # noqa: BLE001 - the class of the program may raise anything
            return self._reject(properties, error)
        old = self.value
        if not same:
            self.value = new
        self.rejected = None
        calls = [] if same else [partial(one, old, new) for one in self.on_change]
        return [Notice(binding=self, name="on_change", call=one) for one in calls]

    def _reject(self, properties: Properties, error: Exception) -> list[Notice]:
        known = isinstance(error, ConfigClientError)
        rejection = Rejection(
            # The text of another error may show values.
            reason=str(error) if known else f"the class raised {type(error).__name__}",
            version=properties.version,
            when=datetime.now(UTC),
        )
        self.rejected = rejection
        _LOG.warning(
            "live value (%r): keeping the previous value; version %s is rejected: %s",
            self,
            printable(rejection.version or "unknown"),
            rejection.reason,
        )
        calls = [partial(one, rejection) for one in self.on_rejected]
        return [Notice(binding=self, name="on_rejected", call=one) for one in calls]
