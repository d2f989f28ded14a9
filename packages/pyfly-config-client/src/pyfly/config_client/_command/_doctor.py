"""`doctor`: the steps of a start, one by one."""

import argparse
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._command._exit import EXIT_FAILED, say
from pyfly.config_client._loading.accept import Job, accept, validate
from pyfly.config_client._loading.effects import Send
from pyfly.config_client._loading.plan import shared_warning
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._snapshot.store import SnapshotStore
from pyfly.config_client.errors import ConfigClientError

_CONNECT_SECONDS: Final = 5.0
_MARKS: Final[dict[str, str]] = {"ok": "ok  ", "note": "note", "fault": "FAIL"}


State: TypeAlias = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one step has shown."""

    step: str
    state: State
    text: str


class Patient(SyncConfigClient):
    """A client that shows how it starts."""

    def examine(self) -> Iterator[Finding]:
        """Yield what every step shows; the last one says whether a start succeeds."""
        yield _ok("arguments", f"{self.application!r}, policy {self.policy}")
        if self.policy != "offline":
            try:
                job = self._job()
            except ConfigClientError as error:
                yield _fault("credential", str(error))
            else:
                for request in job.requests[0]:
                    yield from self._examine_server(job, request)
        if self.policy != "require_server":
            yield from _examine_disk(self._store)
        try:
            found = self.fetch()
        except ConfigClientError as error:
            yield _fault("start", str(error).partition("\n")[0])
            return
        where = f"{len(found)} properties from {found.loaded_from} {found.place}"
        yield _ok("start", f"{where}, version {found.version or 'unknown'}")

    def _examine_server(self, job: Job, request: ConfigRequest) -> Iterator[Finding]:
        reached = True
        for finding in _examine_network(request):
            reached = finding.state == "ok"
            yield finding
        if not reached:
            return
        known = "Authorization" in request.headers
        yield _ok("credential", "one is sent" if known else "none is sent")
        try:
            answer = self._start_exchange(Send(request=request, timeout=self.timeout)).run()
            loaded = validate(job, accept(job, request, answer))
        except ConfigClientError as error:
            yield _fault("answer", str(error))
            return
        proven = "a right" if "content-digest" in answer.headers else "no"
        count = len(loaded.properties)
        yield _ok("answer", f"{request.url}: {count} properties, with {proven} Content-Digest")
        if loaded.only_shared:
            text = shared_warning(self.application, loaded.properties.profiles)
            yield Finding(step="names", state="note", text=text)


def doctor(arguments: argparse.Namespace, patient: Patient) -> int:
    """Print every step; 1 when a start would fail."""
    findings: list[Finding] = []
    for finding in patient.examine():
        findings.append(finding)
        if not arguments.json:
            say(f"{_MARKS[finding.state]}  {finding.step}: {finding.text}")
    starts = findings[-1].state != "fault"
    if arguments.json:
        rows = [asdict(finding) for finding in findings]
        say(json.dumps({"starts": starts, "steps": rows}, ensure_ascii=False, indent=2))
    return 0 if starts else EXIT_FAILED


def _examine_network(request: ConfigRequest) -> Iterator[Finding]:
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield _fault("name", f"{host} has no address: {error.strerror}; is it spelt right?")
        return
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    yield _ok("name", f"{host} is {addresses}")
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        yield _fault("connection", f"{host} port {port}: {why}; does the server run there?")
    else:
        yield _ok("connection", f"{host} port {port} accepts it")


def _examine_disk(store: SnapshotStore) -> Iterator[Finding]:
    found, faults = store.read()
    for snapshot in found:
        yield _ok(snapshot.origin, f"{snapshot.url} can be used when the server is down")
    for fault in faults:
        state: State = "note" if "there is none" in fault else "fault"
        yield Finding(step="stored", state=state, text=fault)
    if not store.enabled:
        yield Finding(step="snapshot", state="note", text="switched off")


def _ok(step: str, text: str) -> Finding:
    return Finding(step=step, state="ok", text=text)


def _fault(step: str, text: str) -> Finding:
    return Finding(step=step, state="fault", text=text)
