"""`ClientConfig`: everything a client is configured with, checked once."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias, cast, get_args

from pyfly.config_client._disk import OFF, SnapshotStore, read_file
from pyfly.config_client._environ import read_variable, read_variables
from pyfly.config_client._properties import Properties
from pyfly.config_client._requests import (
    ConfigRequest,
    Credentials,
    Identity,
    Server,
    TlsFiles,
    Transport,
    build_requests,
    check_identity,
    parse_server,
)
from pyfly.config_client.errors import ConfigClientError
from pyfly.config_client.transport import HttpxTransport
from pyfly.config_core import DEFAULT_PROFILE

if TYPE_CHECKING:
    from pyfly.config_client._encryption import SnapshotCipher, ValueCipher

PathLike: TypeAlias = str | os.PathLike[str]
Policy: TypeAlias = Literal["prefer_server", "require_server", "offline"]
Strategy: TypeAlias = Literal["always", "connection-timeout-only"]

_MAX_SECONDS: Final = 86_400
_MAX_TEXT_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientConfig:
    """The configuration of a client. `ConfigClient` takes the same arguments.

    An immutable value: `dataclasses.replace` makes variants. Its `repr` shows no credential. Files
    for TLS are read when it is made, so that a wrong path is found before the first fetch.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: Another argument cannot be used.
        TypeError: An argument has a wrong type.
        ImportError: `snapshot_key` or `decrypt_keys` is given, and the extra `encryption` is not
            installed.
    """

    server_url: str | Sequence[str] = field(repr=False)
    """Such as `http://config:8888`. Of several, the first is asked first. User info in an address
    is percent-decoded and used for that server only."""
    application: str
    """One name or a comma list."""
    profile: str | Sequence[str] = DEFAULT_PROFILE
    """One name, a comma list or a sequence; the last profile has the highest precedence."""
    label: str | Sequence[str] | None = None
    """The version of the tree; `None` leaves it to the server. A comma list is sent unchanged. Of a
    sequence, the first label that exists is used."""
    keys: str | Sequence[str] | None = None
    """Only these properties: `db` with all below it, `feature.*` with those below it only; one
    name, a comma list or a sequence, in any spelling. Values should not refer to others. A Spring
    server sends all."""
    base_path: str = "/config"
    """Where the server mounts its routes; empty for most Spring servers."""
    username: str | None = None
    """For basic authentication. Takes precedence over the address. The default is `user` if there
    is a password."""
    password: str | None = field(default=None, repr=False)
    """For basic authentication. Takes precedence over the address."""
    token: str | None = field(default=None, repr=False)
    """A bearer token, instead of a user name and a password."""
    token_file: PathLike | None = None
    """A file that contains the token; read for every fetch."""
    timeout: float = 10.0
    """Seconds for the whole call: servers, labels and retries, to the last byte. At most a day."""
    attempts: int | None = None
    """How many times all servers are asked at most. `None`: three times if there is a snapshot or a
    baseline, otherwise until the timeout."""
    policy: Policy = "prefer_server"
    """`prefer_server`: the server, else the last good snapshot, else the baseline.
    `require_server`: the server; the disk is neither read nor written. `offline`: a snapshot or
    the baseline; nothing is sent."""
    strategy: Strategy = "always"
    """When the next server is asked: after every failure (`always`), or only if a server cannot be
    reached (`connection-timeout-only`)."""
    allow_empty: bool = False
    """Accept a configuration without properties."""
    allow_shrink: bool = False
    """Accept a configuration that lost more than half of ten or more properties."""
    placeholders: bool = True
    """Resolve `${key}` in values."""
    validate: Callable[[Properties], object] | None = None
    """Called with a configuration before it is used or stored. It raises to reject it."""
    snapshot_dir: PathLike | None = None
    """The directory of snapshots. `off` disables them. `None` is `$PYFLY_CONFIG_SNAPSHOT_DIR`, or
    else `$XDG_STATE_HOME/pyfly-config`; with a `transport` of your own it disables them."""
    snapshot_key: str | None = field(default=None, repr=False)
    """32 bytes in base64 that encrypt snapshots; needs the extra `encryption`."""
    decrypt_keys: str | Mapping[str, str] | None = field(default=None, repr=False)
    """Keys that decrypt `{cipher}v1:…` values, if the server hands them on: 32 bytes in base64 by
    id, or a JSON object of them; needs the extra `encryption`. `None` leaves such values as they
    are; otherwise a configuration with one that cannot be decrypted is rejected."""
    decrypt_keys_file: PathLike | None = None
    """A file that contains that JSON object; read once."""
    baseline: PathLike | None = None
    """A file with an environment document, used if there is nothing better."""
    ca_file: PathLike | None = None
    """Certificates of the authorities that may sign the server's, instead of the public ones."""
    client_cert: PathLike | None = None
    """The certificate of the client."""
    client_key: PathLike | None = None
    """The key of the client's certificate, if that is another file."""
    transport: Transport | None = None
    """What sends requests, instead of an `HttpxTransport`."""

    servers: tuple[Server, ...] = field(init=False, compare=False)
    """The addresses, parsed."""
    identity: Identity = field(init=False, compare=False)
    """The configuration that is requested, without credentials."""
    cipher: "SnapshotCipher | None" = field(init=False, compare=False)
    """Encrypts snapshots."""
    value_cipher: "ValueCipher | None" = field(init=False, compare=False)
    """Decrypts values."""

    def __post_init__(self) -> None:
        self._check_values()
        for name in ("server_url", "profile", "label", "keys"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, str):
                self._set(name, tuple(given))
        urls = (self.server_url,) if isinstance(self.server_url, str) else self.server_url
        servers = (parse_server(url, self.base_path, _is_international_host) for url in urls)
        self._set("servers", tuple(servers))
        self._set("identity", self._make_identity())
        if isinstance(self.decrypt_keys, Mapping):
            self._set("decrypt_keys", json.dumps(dict(self.decrypt_keys)))
        self._make_ciphers()
        check_identity(self.identity)
        if self.token is not None and self.token_file is not None:
            raise ValueError("give either a token or a token file, not both")
        self.build_requests("t" if self.token_file is not None else self.token)
        if self.policy != "offline" and self.tls.given:
            from pyfly.config_client._connections import make_context  # noqa: PLC0415 - ssl takes 20 ms

            make_context(self.tls)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Self:
        """Return a configuration made of environment variables such as `PYFLY_CONFIG_URL`.

        `pyfly-config-client --help` and the documentation list the variables.

        Args:
            environ: Used instead of the environment of the process.
            arguments: Arguments of the class. They take precedence over variables, except `None`.

        Raises:
            ValueError: A variable is missing or cannot be used. The error names it.
        """
        return cls(**read_variables(os.environ if environ is None else environ, arguments))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.build_requests(None)[0][0].url!r})"

    @property
    def tls(self) -> TlsFiles:
        """The files for TLS."""
        return TlsFiles(self.ca_file, self.client_cert, self.client_key)

    def make_transport(self) -> Transport:
        """Return what sends requests: `transport`, or a new `HttpxTransport`.

        Clients call this for every fetch and never keep the result. It is the one place to
        replace how all clients of a process send requests, including clients that other code has
        made: `pyfly.config_client.testing` replaces this method while a `FakeConfigServer` is
        active.
        """
        return HttpxTransport(tls=self.tls) if self.transport is None else self.transport

    def build_requests(self, token: str | None) -> tuple[tuple[ConfigRequest, ...], ...]:
        """Return, for every label, one request to every server; for `token` see `load_token`.

        Raises:
            ValueError: The credentials contradict each other.
        """
        credentials = Credentials(username=self.username, password=self.password, token=token)
        return build_requests(self.identity, self.servers, credentials)

    def load_token(self) -> str | None:
        """Return the bearer token. Reads the token file, which may have changed.

        Raises:
            ConfigClientError: The token file cannot be read, or contains no token.
        """
        if self.token_file is None or self.policy == "offline":
            return self.token
        path = os.fspath(self.token_file)
        try:
            token = _read_text("token file", path).strip()
        except ValueError as error:
            raise ConfigClientError(str(error)) from None
        try:
            Credentials(token=token)
        except ValueError as error:
            raise ConfigClientError(f"token file {path}: contains no token: {error}") from None
        return token

    def snapshot_store(self, *, in_memory: bool) -> SnapshotStore:
        """Return where snapshots are stored.

        Responses that come from this process are stored only in a directory that is given.
        """
        directory = None if self.snapshot_dir is None else os.fspath(self.snapshot_dir)
        if directory is None:
            own_network = self.transport is None and not in_memory
            directory = read_variable("SNAPSHOT_DIR", os.environ) if own_network else OFF
        return SnapshotStore(
            identity=self.identity,
            directory=directory,
            baseline=None if self.baseline is None else Path(self.baseline),
            cipher=self.cipher,
        )

    def _make_ciphers(self) -> None:
        keys, snapshot_key = self._load_decrypt_keys(), self.snapshot_key
        self._set("cipher", None)
        self._set("value_cipher", None)
        if keys is not None or snapshot_key is not None:
            from pyfly.config_client._encryption import SnapshotCipher, ValueCipher  # noqa: PLC0415 - only with a key

            self._set("cipher", None if snapshot_key is None else SnapshotCipher(snapshot_key))
            self._set("value_cipher", None if keys is None else ValueCipher(keys))

    def _load_decrypt_keys(self) -> str | None:
        if self.decrypt_keys_file is None:
            return None if self.decrypt_keys is None else str(self.decrypt_keys)
        if self.decrypt_keys is not None:
            raise ValueError("give either decrypt_keys or decrypt_keys_file, not both")
        return _read_text("decrypt_keys_file", os.fspath(self.decrypt_keys_file))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _make_identity(self) -> Identity:
        label = self.label
        return Identity(
            servers=tuple(server.root for server in self.servers),
            application=self.application,
            profiles=self.profile if isinstance(self.profile, str) else ",".join(self.profile),
            labels=(label,) if label is None or isinstance(label, str) else tuple(label),
            keys=_join_keys(self.keys),
        )

    def _check_values(self) -> None:
        for one in fields(ClientConfig):
            if one.init and one.name != "transport":
                value = getattr(self, one.name)
                if value is not None or one.default is not None:
                    _check_argument(one.name, one.type, value)
        check_seconds("timeout", self.timeout)
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("attempts must be at least 1")
        for name, choices in (("policy", get_args(Policy)), ("strategy", get_args(Strategy))):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        if self.transport is not None:
            _check_transport(self.transport)


def _read_text(name: str, path: str) -> str:
    """Return the content of a file that an argument names. No error shows it."""
    try:
        return read_file(path, limit=_MAX_TEXT_BYTES).decode()
    except OSError as error:
        raise ValueError(f"{name} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # not chained: it contains the bytes
        raise ValueError(f"{name} {path}: is not UTF-8") from None


def _is_international_host(host: str) -> bool:
    from pyfly.config_client import _httpx  # noqa: PLC0415 - httpx takes 150 ms to import

    return _httpx.is_international_host(host)


def _join_keys(keys: str | Sequence[str] | None) -> str:
    """Return keys as a comma list; of a sequence without repetitions, sorted."""
    if keys is None:
        return ""
    names = (keys,) if isinstance(keys, str) else sorted({*keys})
    if not names or not all(one.strip() for one in names):
        raise ValueError("keys must not be empty; None requests all properties")
    return ",".join(names)


# --- checks of arguments --------------------------------------------------------------


def _is_names(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        return False
    return all(isinstance(one, str) for one in cast("Sequence[object]", value))


def _is_texts(value: object) -> bool:
    if not isinstance(value, Mapping):
        return isinstance(value, str)
    items = cast("Mapping[object, object]", value).items()
    return all(isinstance(one, str) for item in items for one in item)


def _is_path(value: object) -> bool:
    # `fspath` may return bytes.
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(cast("Any", value)), str)


class _Kind(NamedTuple):
    """What an argument of a declared type may be."""

    declared: Any
    shown: str
    accepts: Callable[[object], bool]


def _is(kind: type | UnionType) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


_PATH: Final = _Kind(PathLike, "a path", _is_path)
_NUMBER: Final = _Kind(float, "a number", _is(int | float))
_KINDS: Final[Mapping[Any, _Kind]] = {
    form: kind
    for kind in (
        *(_Kind(one, "a text", _is(str)) for one in (str, Policy, Strategy)),
        _Kind(str | Sequence[str], "a text or a sequence of texts", _is_names),
        _Kind(str | Mapping[str, str], "a text or a mapping of texts", _is_texts),
        _PATH,
        _Kind(bool, "True or False", _is(bool)),
        _NUMBER,
        _Kind(int, "a whole number", _is(int)),
        _Kind(Callable[[Properties], object], "a function", callable),
    )
    for form in (kind.declared, kind.declared | None)
}
"""By the types that fields of `ClientConfig` are declared with."""


def _check_argument(name: str, declared: Any, value: object) -> None:
    """Reject a value of a wrong type, and a path that no file can have. Shows no value."""
    kind = _KINDS[declared]
    if not kind.accepts(value):
        raise TypeError(f"{name} must be {kind.shown}, not {_described(value)}")
    if kind is _PATH:
        _check_path(name, os.fspath(cast("str | os.PathLike[str]", value)))


def _check_transport(transport: object) -> None:
    members = ("in_memory", "send", "start")
    if isinstance(transport, type) or not all(hasattr(transport, one) for one in members):
        raise TypeError(
            f"{_described(transport)} is not a Transport of this package, which has "
            f"{', '.join(members)}; wrap a transport of httpx: transport=HttpxTransport(…)"
        )


def check_seconds(name: str, seconds: float) -> None:
    """Reject a time that an operating system cannot wait for, such as infinity.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not more than 0, or more than a day.
    """
    if not _NUMBER.accepts(seconds):
        raise TypeError(f"{name} must be {_NUMBER.shown}, not {_described(seconds)}")
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"{name} must be more than 0 seconds and at most a day")


def _check_path(name: str, path: str) -> None:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # not chained: it contains the text
        possible = False
    if not path:
        raise ValueError(f"{name} must not be empty")
    if not possible:
        raise ValueError(f"{name} contains a character that no path can have")


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
