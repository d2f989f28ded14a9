"""What a client is told, checked once, and turned into a job for the core."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias, get_args

from pyfly.config_client._files import read_file
from pyfly.config_client._identity import Identity, check_identity
from pyfly.config_client._loading.accept import Job, Policy, Strategy
from pyfly.config_client._loading.address import Server, parse_server
from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import Send
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.request import (
    ConfigRequest,
    Credentials,
    build_requests,
)
from pyfly.config_client._result.properties import Properties
from pyfly.config_client._snapshot.format import SnapshotCipher
from pyfly.config_client._snapshot.store import OFF, SnapshotStore
from pyfly.config_client.errors import ConfigClientError
from pyfly.config_core import DEFAULT_PROFILE

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

PathLike: TypeAlias = str | os.PathLike[str]

_LARGEST_TOKEN: Final = 65_536
_LONGEST_SECONDS: Final = 86_400
SNAPSHOT_DIRECTORY: Final = "PYFLY_CONFIG_SNAPSHOT_DIR"


class Double(Protocol):
    """What can answer instead of a network."""

    def answer(self, send: Send) -> Answer:
        """Return the answer to a request, or raise `ConfigClientError`; at once."""
        ...


doubles: Final[list[Double]] = []
"""What answers instead of a network, the last one; tests of programs put it there."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _State:
    """What a client has made of its arguments, and what it has got."""

    servers: tuple[Server, ...]
    identity: Identity
    credentials: Credentials
    cipher: SnapshotCipher | None
    loaded: Loaded | None = None
    complained: bool = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Setup:
    """The arguments of a client. Credentials are not among its attributes."""

    server_url: InitVar[str | Sequence[str]]
    application: str
    profile: str | Sequence[str] = DEFAULT_PROFILE
    label: str | Sequence[str] | None = None
    base_path: str = "/config"
    username: InitVar[str | None] = None
    password: InitVar[str | None] = None
    token: InitVar[str | None] = None
    token_file: PathLike | None = None
    timeout: float = 10.0
    attempts: int | None = None
    policy: Policy = "prefer_server"
    strategy: Strategy = "always"
    allow_empty: bool = False
    allow_shrink: bool = False
    placeholders: bool = True
    validate: Callable[[Properties], object] | None = None
    snapshot_dir: PathLike | None = None
    snapshot_key: InitVar[str | None] = None
    baseline: PathLike | None = None
    ca_file: PathLike | None = None
    client_cert: PathLike | None = None
    client_key: PathLike | None = None
    transport: "AsyncBaseTransport | BaseTransport | None" = None
    _state: _State = field(init=False)

    def __post_init__(
        self,
        server_url: str | Sequence[str],
        username: str | None,
        password: str | None,
        token: str | None,
        snapshot_key: str | None,
    ) -> None:
        self._check()
        self._check_files()
        listed = [server_url] if isinstance(server_url, str) else server_url
        servers = tuple(parse_server(url, self.base_path) for url in listed)
        labels = [self.label] if self.label is None or isinstance(self.label, str) else self.label
        state = _State(
            servers=servers,
            identity=Identity(
                servers=tuple(server.root for server in servers),
                application=self.application,
                profiles=self.profile if isinstance(self.profile, str) else ",".join(self.profile),
                labels=tuple(labels),
            ),
            credentials=Credentials(username=username, password=password, token=token),
            cipher=_cipher(snapshot_key),
        )
        object.__setattr__(self, "_state", state)
        check_identity(state.identity)
        self._requests("t" if self.token_file is not None else token)
        if token is not None and self.token_file is not None:
            raise ValueError("give either a token or a file that holds it, not both")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Self:
        """Return a client that is told by environment variables such as `PYFLY_CONFIG_URL`.

        `pyfly-config-client --help` and the documentation list them.

        Args:
            environ: Instead of the environment of the process.
            arguments: Of the class; they win over variables.

        Raises:
            ValueError: A variable is missing or cannot be used; names it.
        """
        from pyfly.config_client._variables import read_variables  # noqa: PLC0415 - only here

        found = read_variables(os.environ if environ is None else environ, arguments)
        return cls(**found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._requests(None)[0][0].url!r})"

    @property
    def current(self) -> Properties | None:
        """The newest good configuration this client has; `None` before the first."""
        loaded = self._state.loaded
        return None if loaded is None else loaded.properties

    @property
    def document(self) -> bytes | None:
        """The environment document that `current` was read from: a baseline for an image."""
        loaded = self._state.loaded
        return None if loaded is None else loaded.snapshot.body

    @property
    def _double(self) -> Double | None:
        return doubles[-1] if doubles and self.transport is None else None

    @property
    def uses_double(self) -> bool:
        """True while a test double stands for the server, whose content a test may change."""
        return self._double is not None

    @property
    def _store(self) -> SnapshotStore:
        """Where snapshots live; nowhere for a transport of somebody else's, unless named."""
        directory = self.snapshot_dir
        if directory is None:
            bare = self.transport is None and self._double is None
            directory = (os.environ.get(SNAPSHOT_DIRECTORY) or None) if bare else OFF
        return SnapshotStore(
            identity=self._state.identity,
            directory=None if directory is None else os.fspath(directory),
            baseline=None if self.baseline is None else Path(self.baseline),
            cipher=self._state.cipher,
        )

    def _job(self) -> Job:
        """Return what the core works on; reads the token's file, which may have changed.

        Raises:
            ConfigClientError: That file cannot be read.
        """
        credentials = self._state.credentials
        token = credentials.token
        double = self._double is not None
        if self.token_file is not None and self.policy != "offline":
            token = _read_token(Path(self.token_file))
        return Job(
            requests=self._requests(token),
            policy=self.policy,
            strategy=self.strategy,
            timeout=self.timeout,
            attempts=1 if double and self.attempts is None else self.attempts,
            allow_empty=self.allow_empty,
            allow_shrink=self.allow_shrink,
            placeholders=self.placeholders,
            validate=self.validate,
            instant=double,
        )

    def _requests(self, token: str | None) -> tuple[tuple[ConfigRequest, ...], ...]:
        given = self._state.credentials
        credentials = given
        if token is not None:
            credentials = Credentials(username=given.username, password=given.password, token=token)
        return build_requests(self._state.identity, self._state.servers, credentials)

    def _check(self) -> None:
        check_seconds("timeout", self.timeout)
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("there must be at least one attempt")
        _one_of("policy", self.policy, get_args(Policy))
        _one_of("strategy", self.strategy, get_args(Strategy))

    def _check_files(self) -> None:
        """Read the files for TLS now: a wrong path is found before the first fetch."""
        files = (self.ca_file, self.client_cert, self.client_key)
        if self.policy != "offline" and files != (None, None, None):
            from pyfly.config_client._tls import make_context  # noqa: PLC0415 - costs 20 ms

            make_context(*files)


def check_seconds(name: str, seconds: float) -> None:
    """Refuse a time that no system can wait for, such as infinity, which one client could.

    Raises:
        ValueError: It is not more than 0, or more than a day.
    """
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError(f"the {name} must be more than 0 seconds and at most a day")


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"the {name} is one of {', '.join(choices)}, not {value!r}")


def _read_token(path: Path) -> str:
    try:
        token = read_file(path, limit=_LARGEST_TOKEN).decode().strip()
    except OSError as error:
        raise ConfigClientError(f"token file {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise ConfigClientError(f"token file {path}: is not UTF-8") from None
    try:
        Credentials(token=token)
    except ValueError as error:
        raise ConfigClientError(f"token file {path}: holds no token: {error}") from None
    return token


def _cipher(key: str | None) -> SnapshotCipher | None:
    if key is None:
        return None
    from pyfly.config_client._snapshot.cipher import AesGcm  # noqa: PLC0415 - an extra

    return AesGcm(key)
