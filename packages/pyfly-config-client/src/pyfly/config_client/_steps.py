"""The session of a client, and steps, the only link between decisions and input or output.

A plan is a generator that yields steps. A driver performs a step, fills in its result, and
resumes the plan. Plans are therefore the same for both clients, and tests need neither an event
loop nor a network.

Values that stay inside this package are named tuples, whose classes take a quarter of the time to
make, or have neither `==` nor a `repr`: generating them takes half of the import time. No `repr`
shows a secret.
"""

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar

from pyfly.config_client._changes import ConfigurationHolder, Loaded
from pyfly.config_client._config import ClientConfig
from pyfly.config_client._disk import Snapshot, SnapshotStore
from pyfly.config_client._properties import Properties
from pyfly.config_client._requests import (
    ConfigRequest,
    Exchange,
    HttpRequest,
    HttpResponse,
    Transport,
)
from pyfly.config_client.errors import (
    ConfigClientError,
    ServerUnreachableError,
    SnapshotError,
    late_response,
)

T = TypeVar("T")

_LOG: Final = logging.getLogger("pyfly.config_client")

_LARGE: Final = 65_536
"""Bytes; reading a larger response would block the event loop for more than a millisecond."""


class Job(NamedTuple):
    """One fetch: what to send, and under which rules."""

    config: ClientConfig
    requests: tuple[tuple[ConfigRequest, ...], ...]
    """For every label one request to every server."""
    attempts: int | None
    """The limit of rounds. `None`: until the timeout, or a few if there is a fallback."""
    pauses: bool = True
    """False if attempts follow each other without a pause, as with a transport in memory."""

    @property
    def name(self) -> str:
        """The name of the configuration in log lines."""
        return f"{self.config.application} [{self.config.identity.profiles}]"


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class SendRequest:
    """Send a request; the result is the whole response, or the reason why there is none."""

    request: ConfigRequest
    timeout: float
    """Seconds for the whole exchange."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sent in addition to those of the request."""
    result: HttpResponse | ConfigClientError | None = None

    def http_request(self) -> HttpRequest:
        """Return what a transport sends."""
        headers = {**self.request.headers, **self.headers}
        return HttpRequest(url=self.request.url, headers=headers, timeout=self.timeout)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Compute:
    """Run a function that takes long for large input; an async driver may use a thread."""

    run: Callable[[], Loaded]
    size: int
    """Bytes of the input."""
    result: Loaded | ConfigClientError | None = None

    def perform(self) -> None:
        """Run the function in this thread and fill in the result."""
        try:
            self.result = self.run()
        except ConfigClientError as error:
            self.result = error


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ReadSnapshots:
    """Read the stored snapshots and the baseline; the result has the best one first."""

    result: tuple[Snapshot, ...] = ()
    faults: tuple[str, ...] = ()
    """Why the others cannot be used."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class WriteSnapshot:
    """Write a snapshot and read it back; the result is what was read."""

    snapshot: Snapshot
    result: Snapshot | None = None
    """`None` if it could not be written. That is logged, and the fetch goes on."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class UseConfiguration:
    """Use a configuration, unless another one came into use since it was requested."""

    loaded: Loaded
    known: Loaded | None
    """What was in use when it was requested."""
    result: bool = False
    """True if it is in use now."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class NoteFailure:
    """Note in the status that a request failed, or that its response was rejected."""

    error: ConfigClientError


Step: TypeAlias = (
    SendRequest | Sleep | Compute | ReadSnapshots | WriteSnapshot | UseConfiguration | NoteFailure
)

Plan: TypeAlias = Generator[Step, None, T]


def compute(run: Callable[[], Loaded], size: int) -> Plan[Loaded]:
    """Let the driver run a function; raise its `ConfigClientError`."""
    step = Compute(run=run, size=size)
    yield step
    if not isinstance(step.result, Loaded):
        raise step.result or ConfigClientError("the driver did not perform the step")
    return step.result


class Session:
    """What a client has: its configuration, the properties in use, and its snapshots.

    Args:
        config: The configuration of the client.
        on_use: As for `ConfigurationHolder`.
    """

    def __init__(self, config: ClientConfig, on_use: Callable[[], object]) -> None:
        self.config: Final = config
        self.holder: Final = ConfigurationHolder(on_use)
        self._disk_error_logged = False

    @property
    def in_use(self) -> Loaded:
        """The configuration in use, after a fetch has succeeded."""
        loaded = self.holder.loaded
        assert loaded is not None  # noqa: S101 - a fetch has succeeded
        return loaded

    @property
    def properties(self) -> Properties | None:
        """The newest good configuration; `None` before the first fetch."""
        loaded = self.holder.loaded
        return None if loaded is None else loaded.properties

    def job(self) -> Job:
        """Return what to fetch.

        Raises:
            ConfigClientError: The token file cannot be used.
        """
        config = self.config
        in_memory = config.make_transport().in_memory
        return Job(
            config=config,
            requests=config.build_requests(config.load_token()),
            attempts=1 if in_memory and config.attempts is None else config.attempts,
            pauses=not in_memory,
        )

    def store(self) -> SnapshotStore:
        """Return where the snapshots are."""
        return self.config.snapshot_store(in_memory=self.config.make_transport().in_memory)

    def tell(self, step: UseConfiguration | NoteFailure) -> None:
        """Use a configuration or note a failure; calls the functions of the program."""
        if isinstance(step, UseConfiguration):
            step.result = self.holder.use(step.loaded, step.known)
        else:
            self.holder.failed(step.error)

    def use_disk(self, step: ReadSnapshots | WriteSnapshot) -> None:
        """Read or write; never raises `SnapshotError`. The first one is logged."""
        store = self.store()
        if isinstance(step, ReadSnapshots):
            step.result, step.faults = store.read()
        elif store.enabled:
            try:
                step.result = store.write(step.snapshot)
            except SnapshotError as error:
                if not self._disk_error_logged:
                    _LOG.warning("continuing without a snapshot: %s", error)
                self._disk_error_logged = True


# --- the drivers ----------------------------------------------------------------------


class AsyncDriver:
    """Performs steps in the running event loop; work that would block it runs in a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def run(self, plan: Plan[T]) -> T:
        """Perform all steps of a plan and return its result."""
        while True:
            try:
                step = next(plan)
            except StopIteration as done:
                result: T = done.value
                return result
            await self.perform(step)

    async def perform(self, step: Step) -> None:
        """Perform one step."""
        import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

        match step:
            case SendRequest():
                step.result = await self._send(step)
            case Sleep():
                await asyncio.sleep(step.seconds)
            case Compute() if step.size > _LARGE:
                await asyncio.to_thread(step.perform)
            case Compute():
                step.perform()
            case ReadSnapshots() | WriteSnapshot():
                await asyncio.to_thread(self._session.use_disk, step)
            case UseConfiguration() | NoteFailure():
                self._session.tell(step)

    async def _send(self, step: SendRequest) -> HttpResponse | ConfigClientError:
        import asyncio  # noqa: PLC0415 - as in `perform`

        transport = self._session.config.make_transport()
        try:
            async with asyncio.timeout(step.timeout):
                return _checked(transport, await transport.send(step.http_request()))
        except ConfigClientError as error:
            return error
        except OSError as error:
            return _unreachable(transport, step, error)


class BlockingDriver:
    """Performs steps in the calling thread; another thread can stop it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._exchange: Exchange | None = None
        self.stopped = threading.Event()

    def run(self, plan: Plan[T]) -> T:
        """Perform all steps of a plan and return its result."""
        while True:
            try:
                step = next(plan)
            except StopIteration as done:
                result: T = done.value
                return result
            self.perform(step)

    def perform(self, step: Step) -> None:
        """Perform one step."""
        match step:
            case SendRequest():
                step.result = self._send(step)
            case Sleep():
                self.stopped.wait(step.seconds)
            case Compute():
                step.perform()
            case ReadSnapshots() | WriteSnapshot():
                self._session.use_disk(step)
            case UseConfiguration() | NoteFailure():
                self._session.tell(step)

    def stop(self) -> None:
        """End the current wait or exchange, and all later ones."""
        self.stopped.set()
        if self._exchange is not None:
            self._exchange.abort()

    def _send(self, step: SendRequest) -> HttpResponse | ConfigClientError:
        transport = self._session.config.make_transport()
        try:
            self._exchange = transport.start(step.http_request())
            if self.stopped.is_set():
                self._exchange.abort()
            return _checked(transport, self._exchange.run())
        except ConfigClientError as error:
            return error
        except OSError as error:
            return _unreachable(transport, step, error)


def _checked(transport: Transport, response: object) -> HttpResponse:
    """Return a response, or raise an error that names the transport which returned no response."""
    if isinstance(response, HttpResponse):
        return response
    name, found = type(transport).__name__, type(response).__name__
    raise TypeError(f"the transport {name} returned {found} instead of HttpResponse")


def _unreachable(transport: Transport, step: SendRequest, error: OSError) -> ServerUnreachableError:
    """Return the error for what a transport raised; its text may show a credential."""
    url = step.request.url
    if isinstance(error, TimeoutError):
        result = late_response(url, step.timeout)
        error.__cause__ = error.__context__ = None  # long, and about asyncio alone
        error = error.with_traceback(None)
    else:
        reason = f"the transport {type(transport).__name__} failed ({type(error).__name__})"
        result = ServerUnreachableError(f"{url}: {reason}")
    result.__cause__ = error
    return result
