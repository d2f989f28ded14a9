"""`doctor`: the steps of a start, checked one by one."""

import argparse
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pyfly.config_client._acceptance import Job, accept, validate
from pyfly.config_client._actions import EXIT_FAILED, print_result
from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._config import ClientConfig
from pyfly.config_client._exchange import HttpRequest
from pyfly.config_client._fetch import only_shared_warning
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client._snapshots import SnapshotStore
from pyfly.config_client.errors import ConfigClientError

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
            yield from _examine_disk(self._store())
        try:
            found = self.fetch()
        except ConfigClientError as error:
            yield _fault("start", str(error).partition("\n")[0])
            return
        where = f"{len(found)} properties from {found.loaded_from} {found.place}"
        yield _ok("start", f"{where}, version {found.version or 'unknown'}")

    def _examine_servers(self) -> Iterator[Finding]:
        try:
            job = self._job()
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
