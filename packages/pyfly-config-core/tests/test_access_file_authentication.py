"""Signing in with the tokens of an access file, also while the file changes."""

import asyncio
import base64
import hashlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pyfly.config_core import ConfigFormatError
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    Controller,
    HealthSettings,
    HttpError,
    HttpRequest,
    InMemoryConfigBackend,
    SharedCredential,
    SlowedAuthenticator,
)
from pyfly.config_server.access import followed_file
from pyfly.config_server.access.followed_file import AccessFileError, FollowedAccessFile
from pyfly.config_server.access.tokens import make_token
from pyfly.config_server.http.authentication import Authenticator, HeaderAuthenticator
from pyfly.config_server.http.token_authentication import (
    AccessFileAuthenticator,
    AuthenticatorGroup,
)

pytestmark = pytest.mark.anyio
FIRST, SECOND, OTHER = make_token(), make_token(), make_token()


def entry(name: str, *tokens: str, rights: str = "'read'", more: str = "") -> str:
    rows = ", ".join(
        f"{{id = '{number}', sha256 = '{hashlib.sha256(token.encode()).hexdigest()}'}}"
        for number, token in enumerate(tokens)
    )
    return (
        f"[principals.{name}]\ntokens = [{rows}]\n"
        f"rules = [{{rights = [{rights}], on = '{name}/*/*'}}]\n{more}\n"
    )


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def basic(name: str, token: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{token}".encode())


def write(path: Path, text: str) -> None:
    """Replace a file as the command does."""
    other = path.with_suffix(".new")
    other.write_text(text, encoding="utf-8")
    other.chmod(0o600)
    other.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    write(path, entry("orders", FIRST, SECOND) + entry("billing", OTHER))
    return path


@pytest.fixture
def file(path: Path) -> FollowedAccessFile:
    return FollowedAccessFile(path)


def name_of(auth: HeaderAuthenticator, header: bytes | None) -> str | None:
    principal = auth.principal_of(header)
    return None if principal is None else principal.name


async def test_a_header_that_was_accepted_is_refused_when_its_token_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, entry("orders", FIRST, more="expires = 2030-01-01T00:00:00Z"))
    auth = AccessFileAuthenticator(FollowedAccessFile(path))
    end = 1_893_456_000.0
    for now, name in ((end - 1, "orders"), (end - 0.1, "orders"), (end, None), (end + 1, None)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        for header in (bearer(FIRST), basic("orders", FIRST)):
            assert [name_of(auth, header) for _ in range(2)] == [name, name]


async def test_the_headers_that_are_remembered_are_few(
    file: FollowedAccessFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyfly.config_server.http.token_authentication._MAX_ACCEPTED", 3)
    auth = AccessFileAuthenticator(file)
    for blanks in range(20):
        assert name_of(auth, b"Bearer" + b" " * (blanks + 1) + FIRST.encode()) == "orders"
        assert name_of(auth, b"Bearer" + b" " * (blanks + 1) + b"wrong") is None
    assert len(auth._accepted) <= 3


async def test_a_token_signs_in_as_bearer_and_as_password(file: FollowedAccessFile) -> None:
    auth = AccessFileAuthenticator(file)
    assert isinstance(auth, HeaderAuthenticator)
    for token, name in ((FIRST, "orders"), (SECOND, "orders"), (OTHER, "billing")):
        assert name_of(auth, bearer(token)) == name
        assert name_of(auth, b"bearer   " + token.encode() + b" ") == name
        assert name_of(auth, basic(name, token)) == name
    assert auth.principal_of(bearer(FIRST)) is auth.principal_of(basic("orders", SECOND))


REFUSED = [
    None,
    b"",
    b"Bearer",
    b"Bearer ",
    bearer(make_token()),
    bearer(FIRST + "x"),
    bearer(FIRST) + b", " + bearer(FIRST),
    b"Bearer \xff\xfe",
    b"Token " + FIRST.encode(),
    FIRST.encode(),
    basic("orders", OTHER),
    basic("nobody", FIRST),
    basic("", FIRST),
    basic("ordersx", FIRST),
    basic("orders", FIRST + ":"),
    basic("orders", make_token()),
    b"Basic " + base64.b64encode(f"orders{FIRST}".encode()),
    b"Basic " + base64.b64encode(b"\xc3\xa4:" + FIRST.encode()),
    b"Basic ?",
    b"Basic " + FIRST.encode(),
]


@pytest.mark.parametrize("header", REFUSED, ids=map(str, range(len(REFUSED))))
async def test_everything_else_is_refused(file: FollowedAccessFile, header: bytes | None) -> None:
    auth = AccessFileAuthenticator(file)
    assert auth.principal_of(header) is None
    headers = [] if header is None else [(b"authorization", header)]
    with pytest.raises(HttpError) as caught:
        await auth.authenticate(HttpRequest(method="GET", raw_path=b"/", headers=headers))
    await auth.aclose()
    assert caught.value.status == 401
    challenges = [value for _, value in caught.value.headers]
    assert challenges == [
        b'Bearer realm="pyfly-config"',
        b'Basic realm="pyfly-config", charset="UTF-8"',
    ]


async def test_the_digest_of_a_password_of_a_person_opens_nothing(path: Path) -> None:
    write(path, entry("orders", "open sesame"))
    auth = AccessFileAuthenticator(FollowedAccessFile(path))
    assert auth.principal_of(bearer("open sesame")) is None
    assert auth.principal_of(basic("orders", "open sesame")) is None


async def test_a_group_accepts_the_shared_credential_and_the_tokens(
    file: FollowedAccessFile,
) -> None:
    shared = SharedCredential.basic(username="admin", password="open sesame")
    auth = AuthenticatorGroup(shared, AccessFileAuthenticator(file))
    assert name_of(auth, basic("admin", "open sesame")) == "admin"
    assert name_of(auth, basic("orders", FIRST)) == "orders"
    assert name_of(auth, basic("admin", FIRST)) is None
    assert name_of(auth, basic("orders", "open sesame")) is None
    request = HttpRequest(method="GET", raw_path=b"/", headers=[(b"authorization", bearer(SECOND))])
    assert (await auth.authenticate(request)).name == "orders"
    with pytest.raises(HttpError) as caught:
        await auth.authenticate(HttpRequest(method="GET", raw_path=b"/"))
    assert len(caught.value.headers) == 3
    await auth.aclose()


# --- the file changes -------------------------------------------------------------------------


async def settle(file: FollowedAccessFile) -> None:
    """Look as often as it takes for a change to count."""
    await file.look()
    await file.look()


async def test_a_new_file_comes_into_force_when_two_looks_saw_it(
    file: FollowedAccessFile, path: Path
) -> None:
    auth = AccessFileAuthenticator(file)
    write(path, entry("orders", SECOND))
    await file.look()
    assert name_of(auth, bearer(FIRST)) == "orders"
    await file.look()
    assert name_of(auth, bearer(FIRST)) is None
    assert name_of(auth, bearer(SECOND)) == "orders"


async def test_a_file_of_the_same_length_in_the_same_place_is_noticed(
    file: FollowedAccessFile, path: Path
) -> None:
    """Also within one tick of the clock of the file system, directly after the start."""
    status = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("billing", "invoice"), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    await settle(file)
    assert name_of(AccessFileAuthenticator(file), bearer(OTHER)) == "invoice"


BREAK: dict[str, Callable[[Path], object]] = {
    "no TOML": lambda path: write(path, "[principals"),
    "empty": lambda path: write(path, ""),
    "an unknown key": lambda path: write(path, entry("orders", FIRST, more="x = 1")),
    "removed": lambda path: path.unlink(),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "writable by others": lambda path: path.chmod(0o602),
}


async def test_a_file_that_is_swapped_between_look_and_read_is_not_read(
    path: Path, file: FollowedAccessFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settle(file)
    write(path, entry("settled", FIRST))
    await file.look()
    open_file = os.open

    def swap(name: Any, *arguments: Any, **more: Any) -> int:
        if name == path:
            write(path, entry("unsettled", FIRST))
        return open_file(name, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", swap)
        await file.look()
    assert "unsettled" not in file.table.entries
    await file.look()
    assert [*file.table.entries] == ["unsettled"]


@pytest.mark.parametrize("broken", BREAK)
async def test_a_broken_file_leaves_the_principals_in_force_and_is_reported_once(
    file: FollowedAccessFile, path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    auth = AccessFileAuthenticator(file)
    BREAK[broken](path)
    for _ in range(3):
        await settle(file)
    assert name_of(auth, bearer(FIRST)) == "orders"
    assert file.problem is not None
    assert str(path) in file.problem
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.message.endswith("; the principals before stay in force")
    if path.is_dir():
        path.rmdir()
    write(path, entry("orders", SECOND))
    await settle(file)
    assert name_of(auth, bearer(FIRST)) is None
    assert file.problem is None


@pytest.mark.parametrize("broken", BREAK)
def test_a_broken_file_is_refused_at_the_start(path: Path, broken: str) -> None:
    BREAK[broken](path)
    with pytest.raises((AccessFileError, ConfigFormatError), match=r"access\.toml"):
        FollowedAccessFile(path)


def test_a_file_that_others_may_read_is_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o644)
    FollowedAccessFile(path)
    (record,) = caplog.records
    assert "every user of this machine may read" in record.message
    assert f"chmod o= {path}" in record.message


async def test_a_mounted_file_of_kubernetes_is_followed(tmp_path: Path) -> None:
    """`access.toml` links to `..data/access.toml`, and `..data` is replaced."""
    for version, token in (("1", FIRST), ("2", SECOND)):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "access.toml", entry("orders", token))
    (tmp_path / "..data").symlink_to("1")
    path = tmp_path / "access.toml"
    path.symlink_to("..data/access.toml")
    file = FollowedAccessFile(path)
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    await settle(file)
    assert name_of(AccessFileAuthenticator(file), bearer(SECOND)) == "orders"


# --- served -----------------------------------------------------------------------------------


@pytest.fixture
async def backend() -> AsyncIterator[InMemoryConfigBackend]:
    backend = InMemoryConfigBackend()
    for name in ("orders", "billing"):
        await backend.save(ConfigSource(application=name, profile="prod", properties={"a": name}))
    yield backend
    await backend.aclose()


async def status(app: ConfigServerApp, header: bytes, path: str = "/config/orders/prod") -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", header)],
    }
    await app(scope, receive, send)
    code: int = sent[0]["status"]
    return code


@pytest.mark.parametrize("starts", [True, False], ids=["started", "not started"])
async def test_a_revoked_token_is_refused_within_two_seconds(
    file: FollowedAccessFile,
    path: Path,
    backend: InMemoryConfigBackend,
    monkeypatch: pytest.MonkeyPatch,
    starts: bool,
) -> None:
    """Hot answers, too; in an application whose lifespan nobody runs, as well."""
    assert followed_file.LOOK_SECONDS <= 1
    monkeypatch.setattr(followed_file, "LOOK_SECONDS", 0.01)
    async with ConfigServer(backend) as server:
        app = ConfigServerApp(server, auth=AccessFileAuthenticator(file))
        if starts:
            await app.start()
        for _ in range(3):
            assert await status(app, bearer(FIRST)) == 200
            assert await status(app, basic("orders", FIRST)) == 200
        write(path, entry("orders", SECOND))
        async with asyncio.timeout(30):
            while await status(app, bearer(FIRST)) != 401:  # noqa: ASYNC110 - as a client waits
                await asyncio.sleep(0.01)
        assert await status(app, basic("orders", FIRST)) == 401
        assert await status(app, bearer(SECOND)) == 200
        await app.aclose()


def traced_lines(auth: AccessFileAuthenticator, header: bytes) -> list[tuple[str, int]]:
    """Return the lines that run to refuse a header."""
    lines: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            lines.append((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        principal = auth.principal_of(header)
    finally:
        sys.settrace(before)
    assert principal is None
    return lines


def test_an_unknown_name_and_a_wrong_token_take_one_path(file: FollowedAccessFile) -> None:
    """The short form of `scripts/prove timing`: not the time is compared, but what runs."""
    auth, wrong = AccessFileAuthenticator(file), make_token()
    paths = [
        traced_lines(auth, basic(name, token))
        for name in ("orders", "nobody", "")
        for token in (wrong, FIRST[:-1] + wrong[-1], wrong[:-3], "")
        if token != FIRST
    ]
    assert len(paths[0]) > 5
    assert all(path == paths[0] for path in paths)


@pytest.mark.parametrize("wrapped", [False, True])
async def test_readiness_shows_that_a_broken_file_is_not_in_force(
    file: FollowedAccessFile, path: Path, backend: InMemoryConfigBackend, wrapped: bool
) -> None:
    auth: Authenticator = AccessFileAuthenticator(file)
    if wrapped:
        auth = SlowedAuthenticator(AuthenticatorGroup(SharedCredential.bearer("t"), auth))
    async with ConfigServer(backend) as server:
        controller = Controller(server, auth=auth, health=HealthSettings())
        request = HttpRequest(method="GET", raw_path=b"/health/ready")
        assert (await controller.handle(request)).body == b'{"status":"up"}'
        write(path, "[principals")
        await settle(file)
        response = await controller.handle(request)
        assert (response.status, response.body) == (200, b'{"status":"degraded"}')
        write(path, entry("orders", SECOND))
        await settle(file)
        assert (await controller.handle(request)).body == b'{"status":"up"}'
