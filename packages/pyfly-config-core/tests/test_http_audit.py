"""What the audit log records of requests: by the rights that endpoints declare."""

import asyncio
import base64
import re
from collections.abc import Sequence
from typing import Any

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    Controller,
    Encryption,
    EncryptionKeys,
    HealthSettings,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    Principal,
    Right,
    Rule,
    ServerOptions,
    SharedCredential,
    SlowedAuthenticator,
    open_keys,
)
from pyfly.config_server.audit import Audit, AuditError, AuditEvent
from pyfly.config_server.http.authentication import unauthorized
from pyfly.config_server.http.endpoint import Audience, Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS

pytestmark = pytest.mark.anyio
OPS = (b"authorization", b"Bearer ops")
NOBODY = (b"authorization", b"Bearer nobody")
BUNDLE = b"/config/_bundles/orders/prod/main"
JSON = (b"content-type", b"application/json")
KEY = ConfigKey(application="orders", profile="prod", label="main")


class Sink:
    """Keeps events in a list, or fails."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.problem: str | None = None

    def note(self, event: AuditEvent) -> None:
        if self.problem is not None:
            raise AuditError(self.problem)
        self.events.append(event)

    async def keep(self, event: AuditEvent) -> None:
        self.note(event)

    async def aclose(self) -> None:
        self.events.append(AuditEvent(at=0, operation="closed", result="done"))

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        return [tuple(getattr(event, name) for name in names) for event in self.events]


PRINCIPALS = {
    b"Bearer ops": Principal(name="ops", rules=(Rule.everything(),)),
    b"Bearer nobody": Principal(name="nobody"),
}


class People:
    """Knows `ops`, who has every right, and `nobody`, who has none."""

    scheme = "bearer"

    async def authenticate(self, request: HttpRequest) -> Principal:
        principal = PRINCIPALS.get(request.header(b"authorization") or b"")
        if principal is None:
            raise unauthorized(b"Bearer")
        return principal

    def has_name(self, name: str) -> bool:
        return name in {"ops", "nobody"}


class Served:
    """A server of one bundle, with an audit log."""

    def __init__(self, *, reads: bool = False) -> None:
        self.sink = Sink()
        self.backend = InMemoryConfigBackend()
        keys = open_keys(EncryptionKeys(default="a password"))
        options = ServerOptions(encryption=Encryption(keys=keys, answers_decrypt=True))
        self.server = ConfigServer(self.backend, options=options)
        self.audit = Audit(self.sink, reads=reads)
        self.controller = Controller(
            self.server,
            auth=SlowedAuthenticator(People()),
            health=HealthSettings(),
            audit=self.audit,
        )

    async def ask(
        self,
        method: str,
        path: bytes,
        *headers: tuple[bytes, bytes],
        body: bytes = b"",
        query: bytes = b"",
    ) -> HttpResponse:
        async def read() -> bytes:
            return body

        return await self.controller.handle(
            HttpRequest(
                method=method,
                raw_path=path,
                query=query,
                headers=[(b"host", b"localhost"), *headers],
                client="192.0.2.7",
                read_body=read,
            )
        )


@pytest.fixture
async def served() -> Served:
    served = Served()
    await served.backend.save(
        ConfigSource(application="orders", profile="prod", properties={"a": "s3cr3t"})
    )
    return served


def request_path(endpoint: Endpoint) -> bytes:
    words = {"extension": "yml", "path": "one.txt", "version": "1", "profiles": "prod"}
    words |= {"profile": "prod", "label": "main"}
    path = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], "orders"), endpoint.path)
    return (("/config" if endpoint.root is Root.BASE_PATH else "") + path).encode()


def has_right(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return [one for one in endpoints if isinstance(one.access, Right)]


async def test_a_write_has_a_line_before_and_one_after(served: Served) -> None:
    version = (await served.ask("GET", BUNDLE, OPS)).headers
    tag = dict(version)[b"etag"]
    done = await served.ask(
        "PUT",
        BUNDLE,
        *(OPS, JSON, (b"if-match", tag), (b"x-request-id", b"r-1")),
        body=b'{"a": "an0ther"}',
    )
    assert done.status == 200
    new = dict(done.headers)[b"etag"].decode().strip('"')
    attempt, result = served.sink.events
    assert (attempt.result, attempt.status, attempt.version_after) == ("attempt", None, None)
    assert (result.result, result.status, result.version_after) == ("done", 200, new)
    for one in (attempt, result):
        assert one.principal == "ops"
        assert one.operation == "writeBundle"
        assert (one.application, one.profile, one.label) == ("orders", "prod", "main")
        assert (one.client, one.request_id, one.method) == ("192.0.2.7", "r-1", "PUT")
        assert one.path == BUNDLE.decode()
        assert one.version_before == tag.decode().strip('"')
    assert "s3cr3t" not in repr(served.sink.events)
    assert "an0ther" not in repr(served.sink.events)


@pytest.mark.parametrize("endpoint", has_right(ENDPOINTS), ids=lambda endpoint: endpoint.id)
async def test_every_endpoint_is_audited_by_its_right(served: Served, endpoint: Endpoint) -> None:
    """A new endpoint that writes or decrypts is recorded without a line about it anywhere."""
    path, query = request_path(endpoint), (endpoint.selector or "").encode()
    headers = (JSON, (b"if-match", b"*"))
    await served.ask(endpoint.method, path, OPS, *headers, query=query)
    results = {
        Right.WRITE: ["attempt", "done", "refused", "failed"],
        Right.DECRYPT: ["done", "refused", "failed"],
    }
    allowed = results.get(endpoint.access, []) if isinstance(endpoint.access, Right) else []
    found = [one.result for one in served.sink.events]
    assert len(found) == {Right.WRITE: 2, Right.DECRYPT: 1}.get(endpoint.access, 0)  # type: ignore[arg-type]
    assert set(found) <= set(allowed)
    if endpoint.access is Right.WRITE:
        assert found[0] == "attempt"
    served.sink.events.clear()
    await served.ask(endpoint.method, path, NOBODY, *headers, query=query)
    await served.ask(endpoint.method, path, *headers, query=query)
    assert served.sink.rows("operation", "result", "status", "principal", "credential") == [
        (endpoint.id, "refused", 403, "nobody", None),
        ("signIn", "refused", 401, None, "none"),
    ]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.id)
async def test_reads_are_recorded_on_request(endpoint: Endpoint) -> None:
    served = Served(reads=True)
    query = (endpoint.selector or "").encode()
    await served.ask(endpoint.method, request_path(endpoint), OPS, query=query)
    found = {one.operation for one in served.sink.events}
    assert found == (set() if isinstance(endpoint.access, Audience) else {endpoint.id})


async def test_a_condition_without_a_version_names_the_one_that_is_stored(served: Served) -> None:
    stored = (await served.server.bundles.load(KEY)).version
    removed = await served.ask("DELETE", BUNDLE, OPS, (b"if-match", b"*"))
    created = await served.ask("PUT", BUNDLE, OPS, JSON, (b"if-none-match", b"*"), body=b'{"a": 1}')
    assert (removed.status, created.status) == (204, 201)
    new = dict(created.headers)[b"etag"].decode().strip('"')
    assert served.sink.rows("operation", "result", "version_before", "version_after") == [
        ("deleteBundle", "attempt", stored, None),
        ("deleteBundle", "done", stored, None),
        ("writeBundle", "attempt", None, None),
        ("writeBundle", "done", None, new),
    ]


async def test_a_write_is_refused_before_it_begins_if_it_cannot_be_recorded(
    served: Served,
) -> None:
    before = (await served.server.bundles.load(KEY)).version
    served.sink.problem = "No space left on device"
    refused = await served.ask("DELETE", BUNDLE, OPS, (b"if-match", b"*"))
    assert refused.status == 503
    assert b"nothing was written: the audit log" in refused.body
    assert (b"retry-after", b"5") in refused.headers
    assert (await served.server.bundles.load(KEY)).version == before
    assert (await served.ask("GET", b"/config/orders/prod", OPS)).status == 200
    assert (await served.ask("GET", BUNDLE, OPS)).status == 200
    assert (await served.ask("GET", BUNDLE, NOBODY)).status == 403
    assert (await served.ask("GET", BUNDLE)).status == 401
    ready = await served.ask("GET", b"/health/ready")
    assert (ready.status, ready.body) == (200, b'{"status":"degraded","audit":"down"}')
    served.sink.problem = None
    assert (await served.ask("GET", b"/health/ready")).body == b'{"status":"up"}'
    assert (await served.ask("DELETE", BUNDLE, OPS, (b"if-match", b"*"))).status == 204
    assert served.sink.rows("result", "status", "left_out") == [
        ("attempt", None, 3),
        ("done", 204, None),
    ]


async def test_a_refused_write_says_so_and_a_store_that_fails_too(served: Served) -> None:
    await served.ask("DELETE", BUNDLE, OPS, (b"if-match", b'"other"'))
    await served.ask("DELETE", BUNDLE, OPS)
    await served.ask("DELETE", BUNDLE, OPS, query=b"x=1")
    assert served.sink.rows("result", "status") == [
        ("attempt", None),
        ("refused", 412),
        ("attempt", None),
        ("refused", 428),
        ("refused", 400),
    ]


async def test_a_write_whose_request_ends_without_an_answer_is_unknown(served: Served) -> None:
    reached = asyncio.Event()

    async def read() -> bytes:
        reached.set()
        await asyncio.Event().wait()
        return b""

    request = HttpRequest(
        method="PUT",
        raw_path=BUNDLE,
        headers=[(b"host", b"localhost"), OPS, JSON, (b"if-match", b"*")],
        read_body=read,
    )
    task = asyncio.create_task(served.controller.handle(request))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert served.sink.rows("result", "status") == [("attempt", None), ("unknown", None)]


async def test_decryptions_are_recorded_without_their_texts(served: Served) -> None:
    keys = served.server.options.encryption.keys
    assert keys is not None
    cipher = keys.encrypt("s3cr3t")
    text = (b"content-type", b"text/plain")
    done = await served.ask("POST", b"/config/decrypt", OPS, text, body=cipher.encode())
    assert done.body == b"s3cr3t"
    await served.ask("POST", b"/config/decrypt/orders/prod", OPS, text, body=b"no cipher")
    assert served.sink.rows("operation", "result", "status", "application") == [
        ("decrypt", "done", 200, None),
        ("decryptForApplication", "refused", 400, "orders"),
    ]
    assert "s3cr3t" not in repr(served.sink.events)
    assert cipher[:40] not in repr(served.sink.events)
    served.sink.problem = "broken"
    done = await served.ask("POST", b"/config/decrypt", OPS, text, body=cipher.encode())
    assert done.status == 200


@pytest.mark.parametrize(
    ("credential", "kind", "name"),
    [
        (b"", "none", None),
        (b"Bearer s3cr3t", "bearer", None),
        (b"Basic " + base64.b64encode(b"ops:s3cr3t"), "basic", "ops"),
        (b"Basic " + base64.b64encode(b"s3cr3t:s3cr3t"), "basic", None),
        (b"s3cr3t", "other", None),
    ],
)
async def test_a_refused_sign_in_shows_neither_credential_nor_unknown_name(
    served: Served, credential: bytes, kind: str, name: str | None
) -> None:
    headers = [(b"authorization", credential)] if credential else []
    answer = await served.ask("GET", b"/config/orders/prod", *headers, query=b"token=s3cr3t")
    assert answer.status == 401
    (event,) = served.sink.events
    assert (event.operation, event.result, event.status) == ("signIn", "refused", 401)
    assert (event.credential, event.claimed_name, event.principal) == (kind, name, None)
    assert (event.path, event.client) == ("/config/orders/prod", "192.0.2.7")
    assert "s3cr3t" not in repr(event)


async def test_a_webhook_that_is_refused_is_recorded(served: Served) -> None:
    assert (await served.ask("POST", b"/monitor")).status == 403
    assert (await served.ask("POST", b"/monitor", NOBODY)).status == 403
    assert served.sink.rows("operation", "status", "principal", "credential") == [
        ("monitor", 403, None, "none"),
        ("monitor", 403, "nobody", None),
    ]


async def test_answers_from_memory_are_recorded_only_on_request() -> None:
    for reads in (False, True):
        sink, server = Sink(), ConfigServer(InMemoryConfigBackend())
        auth = SharedCredential.bearer("t")
        app = ConfigServerApp(server, auth=auth, audit=Audit(sink, reads=reads))
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/config/orders/prod",
            "raw_path": b"/config/orders/prod",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer t")],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        async with server, app:
            for _ in range(3):
                await app(dict(scope), receive, send)
            assert (app.recognize(scope) is None) is reads
        assert [one["status"] for one in sent if "status" in one] == [200] * 3
        expected = [("environment", "shared-token")] * 3 if reads else []
        assert sink.rows("operation", "principal") == [*expected, ("closed", None)]
