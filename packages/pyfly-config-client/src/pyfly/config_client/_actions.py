"""The commands `get`, `env`, `run` and `doctor`, and the exit codes."""

import argparse
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pyfly.config_client._changes import only_shared_warning
from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._config import ClientConfig
from pyfly.config_client._disk import SnapshotStore
from pyfly.config_client._environ import variables_of
from pyfly.config_client._merging import UnresolvedValue, as_text
from pyfly.config_client._properties import Properties
from pyfly.config_client._requests import ConfigRequest, HttpRequest
from pyfly.config_client._responses import accept, validate
from pyfly.config_client._sections import plain
from pyfly.config_client._steps import Job
from pyfly.config_client.errors import ConfigClientError, PropertyTypeError
from pyfly.config_core import FlatValue, JsonValue
from pyfly.config_core.property_names import below

_SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IGNORED_SIGNALS: Final = ("SIGPIPE", "SIGXFSZ")
"""Signals that Python ignores. A command would inherit that."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_MISSING: Final = 3
EXIT_CANNOT_RUN: Final = 126
EXIT_NO_COMMAND: Final = 127
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final = {
    0: "done",
    EXIT_FAILED: "there is no configuration, or it cannot be used",
    EXIT_USAGE: "an argument or a variable is wrong",
    EXIT_MISSING: "there is no such property",
    EXIT_CANNOT_RUN: "'run': the command cannot be executed",
    EXIT_NO_COMMAND: "'run': there is no such command",
    EXIT_INTERRUPTED: "interrupted",
}


def print_result(text: str) -> None:
    """Print a result.

    Raises:
        ConfigClientError: The output is closed, or its encoding lacks some of the characters.
        OSError: The output cannot be written.
    """
    if sys.stdout is None:
        raise ConfigClientError("the standard output is closed")
    try:
        print(text)  # noqa: T201 - the command's output
    except UnicodeEncodeError as error:  # not chained: it contains the text
        encoding = error.encoding
    else:
        return
    raise ConfigClientError(
        f"the encoding of the output, {encoding}, lacks some characters of the configuration; "
        "set PYTHONIOENCODING=utf-8"
    )


def print_note(text: str) -> None:
    """Print a message to the standard error, unless that is closed."""
    if sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201 - the command's output


def get(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print properties, their origins, or the whole document."""
    properties = client.fetch()
    if arguments.document:
        print_result((client.document or b"").decode())
    elif arguments.explain:
        if arguments.key is None:
            raise ValueError("--explain needs a KEY")
        _explain(properties, arguments.key, as_json=arguments.json)
    elif arguments.key is None:
        _print_all(properties, as_json=arguments.json)
    else:
        _print_one(properties, arguments.key, as_json=arguments.json)
    return 0


def _print_one(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print a value, the elements of a list, or a section."""
    value = properties.get(key)
    if value is not None:
        print_result(json.dumps(value, ensure_ascii=False) if as_json else as_text(value))
        return
    section = properties.section(key)
    if not section:
        properties.origin(key)  # raises, and names a similar key
    listed = _as_list(section)
    if listed is None:
        _print_all(section, as_json=as_json)
    elif as_json:
        print_result(json.dumps(listed, ensure_ascii=False, indent=2))
    elif any(isinstance(item, dict | list) for item in listed):
        _print_all(section, as_json=False)
    else:
        print_result(
            "\n".join(as_text(item) for item in listed if isinstance(item, str | int | float))
        )


def _as_list(section: Properties) -> list[JsonValue] | None:
    """Return a section as a list; `None` if it is no list or cannot be resolved."""
    try:
        found = plain(section.root)
    except PropertyTypeError:
        return None  # `_print_all` prints the rest, and names what cannot be resolved
    return found if isinstance(found, list) else None


def _explain(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print the origin of a property, or of all properties of a section or a list."""
    keys = [key] if key in properties else [below(key, one) for one in properties.section(key)]
    found = [properties.explain(one) for one in keys or [key]]  # raises if there is nothing
    if as_json:
        rows = {
            one.key: {"winner": one.winner._asdict(), "losers": [o._asdict() for o in one.losers]}
            for one in found
        }
        print_result(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print_result("\n".join(str(one) for one in found))


def env(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print environment variables."""
    found = _variables(arguments, client)
    if arguments.json:
        print_result(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for name in [name for name in found if not _SHELL_NAME.fullmatch(name)]:
            print_note(f"pyfly-config-client: left out {name}: shells do not accept this name")
            del found[name]
        print_result(
            "\n".join(f"export {name}={shlex.quote(text)}" for name, text in found.items())
        )
    return 0


def run(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Replace this process by the command."""
    found = _variables(arguments, client)
    ignored = [getattr(signal, name) for name in _IGNORED_SIGNALS if hasattr(signal, name)]
    before = {one: signal.signal(one, signal.SIG_DFL) for one in ignored}
    try:
        os.execvpe(arguments.command[0], arguments.command, {**os.environ, **found})  # noqa: S606
    except (FileNotFoundError, ValueError):  # `ValueError`: the name is empty
        print_note(f"pyfly-config-client: there is no command {arguments.command[0]!r}")
        return EXIT_NO_COMMAND
    except OSError as error:
        print_note(f"pyfly-config-client: {arguments.command[0]!r} cannot run: {error.strerror}")
        return EXIT_CANNOT_RUN
    finally:  # this process goes on, because there is no command
        for one, handler in before.items():
            signal.signal(one, handler)


def _print_all(properties: Properties, *, as_json: bool) -> None:
    """Print keys and values. Values that cannot be resolved are left out and named."""
    found: dict[str, FlatValue] = {}
    for key, value in properties.entries().values():
        if isinstance(value, UnresolvedValue):
            print_note(f"pyfly-config-client: left out: {value.error()}")
        else:
            found[key] = value
    if as_json:
        print_result(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print_result("\n".join(f"{key}={as_text(value)}" for key, value in found.items()))


def _variables(arguments: argparse.Namespace, client: SyncConfigClient) -> dict[str, str]:
    return variables_of(client.fetch(), arguments.prefix, besides=os.environ)


# --- doctor ---------------------------------------------------------------------------

_CONNECT_SECONDS: Final = 5.0
_MARKS: Final[dict[str, str]] = {"ok": "ok  ", "note": "note", "fault": "FAIL"}

State: TypeAlias = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one step."""

    step: str
    state: State
    text: str


class DiagnosticClient(SyncConfigClient):
    """A client that reports every step of a start."""

    def examine(self) -> Iterator[Finding]:
        """Yield the result of every step; the last one is that of the start itself."""
        policy = self.config.policy
        yield _ok("arguments", f"{self.config.application!r}, policy {policy}")
        if policy != "offline":
            yield from self._examine_servers()
        if policy != "require_server":
            yield from _examine_disk(self._session.store())
        try:
            found = self.fetch()
        except ConfigClientError as error:
            yield _fault("start", str(error).partition("\n")[0])
            return
        where = f"{len(found)} properties from {found.loaded_from} {found.place}"
        yield _ok("start", f"{where}, version {found.version or 'unknown'}")

    def _examine_servers(self) -> Iterator[Finding]:
        try:
            job = self._session.job()
        except ConfigClientError as error:
            yield _fault("credential", str(error))
            return
        for request in job.requests[0]:
            reached = True
            for finding in _examine_network(request):
                reached = finding.state == "ok"
                yield finding
            if reached:
                yield from _examine_response(self.config, job, request)


def doctor(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print every step; return 1 if a start would fail."""
    findings: list[Finding] = []
    for finding in DiagnosticClient.from_config(client.config).examine():
        findings.append(finding)
        if not arguments.json:
            print_result(f"{_MARKS[finding.state]}  {finding.step}: {finding.text}")
    starts = findings[-1].state != "fault"
    if arguments.json:
        rows = [asdict(finding) for finding in findings]
        print_result(json.dumps({"starts": starts, "steps": rows}, ensure_ascii=False, indent=2))
    return 0 if starts else EXIT_FAILED


def _examine_network(request: ConfigRequest) -> Iterator[Finding]:
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield _fault("name", f"{host} has no address: {error.strerror}; check its spelling")
        return
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    yield _ok("name", f"{host} is {addresses}")
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        yield _fault("connection", f"{host} port {port}: {why}; check that the server is running")
    else:
        yield _ok("connection", f"{host} port {port} accepts connections")


def _examine_response(config: ClientConfig, job: Job, request: ConfigRequest) -> Iterator[Finding]:
    sent = "Authorization" in request.headers
    yield _ok("credential", "a credential is sent" if sent else "no credential is sent")
    message = HttpRequest(url=request.url, headers=request.headers, timeout=config.timeout)
    try:
        response = config.make_transport().start(message).run()
        loaded = validate(job, accept(job, request, response))
    except ConfigClientError as error:
        yield _fault("response", str(error))
        return
    digest = "a valid" if "content-digest" in response.headers else "no"
    count = len(loaded.properties)
    stale_for = loaded.properties.stale_for
    yield _ok("response", f"{request.url}: {count} properties, with {digest} Content-Digest")
    if stale_for is not None:
        text = (
            f"the server cannot read its store, or a file in it; this is its last good "
            f"configuration, {stale_for:.0f} s old; check the log of the server"
        )
        yield Finding(step="stale", state="note", text=text)
    if loaded.only_shared:
        text = only_shared_warning(config.application, loaded.properties.profiles)
        yield Finding(step="names", state="note", text=text)


def _examine_disk(store: SnapshotStore) -> Iterator[Finding]:
    found, faults = store.read()
    for snapshot in found:
        yield _ok(snapshot.origin, f"{snapshot.url} can be used if the server is down")
    for fault in faults:
        state: State = "note" if "does not exist" in fault else "fault"
        yield Finding(step="stored", state=state, text=fault)
    if not store.enabled:
        yield Finding(step="snapshot", state="note", text="disabled")


def _ok(step: str, text: str) -> Finding:
    return Finding(step=step, state="ok", text=text)


def _fault(step: str, text: str) -> Finding:
    return Finding(step=step, state="fault", text=text)
