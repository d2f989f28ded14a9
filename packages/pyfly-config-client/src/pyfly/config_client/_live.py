"""Live values: typed settings that follow the configuration of a client while a program runs."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from pyfly.config_client._live_binding import Binding, Rejection
from pyfly.config_client._live_values import LiveValues
from pyfly.config_client.errors import ConfigClientError

T = TypeVar("T")
R = TypeVar("R")


class Live(Generic[T]):
    """A typed value that follows the configuration. `client.live` makes one.

    `value` is always one whole, validated instance. A configuration that does not fit the class is
    rejected before it is used. May be used from every thread.
    """

    def __init__(self, values: LiveValues, prefix: str, model: type[T]) -> None:
        """Call `ConfigClient.live` or `SyncConfigClient.live` instead."""
        self._shared: Final = values
        self._binding: Final = Binding(prefix, model)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._binding!r})"

    @property
    def value(self) -> T:
        """The current value. Reading takes no lock and does no input or output.

        Read it once for each piece of work, because two reads may return two values. It is the
        same object until a configuration comes that binds to a value which is not equal. After
        `close` or `aclose` it is the last value.

        Raises:
            ConfigClientError: There is no value yet: an `AsyncLive` was not entered.
        """
        if self._shared.asleep:
            self._shared.wake()
        try:
            return self._binding.value
        except AttributeError:
            raise ConfigClientError(
                f"{self!r} has no value yet; enter it with 'async with'"
            ) from None

    @property
    def rejected(self) -> Rejection | None:
        """Why the current configuration is not used; `None` if `value` is that configuration."""
        return self._binding.rejected

    def on_change(self, callback: Callable[[T, T], R]) -> Callable[[T, T], R]:
        """Call a function with the old and the new value after each change. Returns the function.

        `value` is the new one already. Values are compared with `==`. Functions are called in the
        order in which they were added, one at a time. What they raise is logged.
        """
        self._check_callback(callback)
        self._binding.on_change.append(callback)
        self._wake()
        return callback

    def on_rejected(self, callback: Callable[[Rejection], R]) -> Callable[[Rejection], R]:
        """Call a function when a configuration is rejected. Returns the function."""
        self._check_callback(callback)
        self._binding.on_rejected.append(callback)
        self._wake()
        return callback

    def _wake(self) -> None:
        if self._shared.asleep:
            self._shared.wake()

    def _check_callback(self, callback: object) -> None:
        if not callable(callback):
            raise TypeError(f"a callback must be callable, not {type(callback).__name__}")
