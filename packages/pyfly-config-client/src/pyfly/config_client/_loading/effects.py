"""What the core asks its shells to do: the only words between decisions and input and output.

A plan is a generator that yields these and goes on when they are done. `ConfigClient` does them
in an event loop, `SyncConfigClient` in a thread, a test with neither.

Like all values that stay inside of this package they have neither `==` nor a `repr`: nobody needs
them, what has no `repr` shows no secret, and half of the time an import takes would go into them.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._snapshot.format import Snapshot
from pyfly.config_client.errors import ConfigClientError

if TYPE_CHECKING:  # watchers only
    from pyfly.config_client._loading.loaded import Loaded
    from pyfly.config_client._result.change import Change

T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Send:
    """Send a request and fill in the whole answer, or why there is none."""

    request: ConfigRequest
    timeout: float
    """Seconds for the whole exchange."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside those of the request."""
    result: Answer | ConfigClientError | None = None


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Work:
    """Compute something that takes a while if it is large, and fill in what came of it."""

    run: "Callable[[], Loaded]"
    size: int
    """Bytes of what is worked on."""
    result: "Loaded | ConfigClientError | None" = None

    def perform(self) -> None:
        """Do it, in this thread."""
        try:
            self.result = self.run()
        except ConfigClientError as error:
            self.result = error


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ReadStored:
    """Read what an earlier start has left behind and fill it in, the best first."""

    result: tuple[Snapshot, ...] = ()
    faults: tuple[str, ...] = ()
    """Why there is no more."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Keep:
    """Write a snapshot, read it back, and fill in what was read."""

    snapshot: Snapshot
    result: Snapshot | None = None
    """`None` when that failed, which is logged and no reason not to start."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Deliver:
    """Use a new configuration, and hand the change to whoever watches."""

    loaded: "Loaded"
    change: "Change"


Effect: TypeAlias = Send | Sleep | Work | ReadStored | Keep | Deliver

Plan: TypeAlias = Generator[Effect, None, T]
