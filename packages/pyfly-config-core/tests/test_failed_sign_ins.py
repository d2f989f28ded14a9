"""Failed sign-ins are logged and slowed; right credentials never are."""

import asyncio
import base64
import itertools

import pytest

from pyfly.config_server import HttpError, HttpRequest, SharedCredential, SlowedAuthenticator
from pyfly.config_server.http import failed_sign_ins
from pyfly.config_server.http.authentication import BackgroundAuthenticator, HeaderAuthenticator

pytestmark = pytest.mark.anyio
SECRET = "open sesame"


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


def request(
    password: str = "wrong", *, name: str = "ada", address: str | None = "10.0.0.7"
) -> HttpRequest:
    value = b"Basic " + base64.b64encode(f"{name}:{password}".encode())
    return HttpRequest(
        method="GET", raw_path=b"/", headers=[(b"authorization", value)], client=address
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(clock: Clock) -> SlowedAuthenticator:
    shared = SharedCredential.basic(username="ada", password=SECRET)
    return SlowedAuthenticator(shared, clock=clock, sleep=clock.sleep)


async def fail(auth: SlowedAuthenticator, sent: HttpRequest) -> int:
    with pytest.raises(HttpError) as caught:
        await auth.authenticate(sent)
    return caught.value.status


async def test_failures_are_slowed_more_and_more_and_forgotten(
    auth: SlowedAuthenticator, clock: Clock
) -> None:
    for _ in range(12):
        assert await fail(auth, request()) == 401
    assert clock.waited == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    clock.now += 120
    clock.waited.clear()
    await fail(auth, request())
    assert clock.waited == []


async def test_a_right_credential_never_waits(auth: SlowedAuthenticator, clock: Clock) -> None:
    for _ in range(50):
        await fail(auth, request())
    clock.waited.clear()
    principal = await auth.authenticate(request(SECRET))
    assert principal.name == "ada"
    assert clock.waited == []
    assert isinstance(auth, HeaderAuthenticator)
    assert isinstance(auth, BackgroundAuthenticator)
    assert auth.principal_of(request(SECRET).header(b"authorization")) is principal
    assert clock.waited == []


async def test_an_address_and_a_name_are_counted_each(
    auth: SlowedAuthenticator, clock: Clock
) -> None:
    for number in range(6):  # one address, many names
        await fail(auth, request(name=f"n{number}"))
    assert len(clock.waited) == 1
    for number in range(6):  # one name, many addresses
        await fail(auth, request(name="bob", address=f"10.0.1.{number}"))
    assert len(clock.waited) == 2
    await fail(auth, request(name="eve", address="10.0.2.1"))
    assert len(clock.waited) == 2


async def test_a_request_without_a_credential_does_not_count(
    auth: SlowedAuthenticator, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        assert await fail(auth, HttpRequest(method="GET", raw_path=b"/", client="10.0.0.7")) == 401
    assert clock.waited == []
    assert caplog.records == []


async def test_too_many_waiting_failures_are_429_and_the_right_credential_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failed_sign_ins, "_MAX_WAITING", 3)
    release = asyncio.Event()

    async def sleep(seconds: float) -> None:
        del seconds
        await release.wait()

    shared = SharedCredential.basic(username="ada", password=SECRET)
    auth = SlowedAuthenticator(shared, sleep=sleep)
    for _ in range(5):
        await fail(auth, request())
    waiting = [asyncio.create_task(fail(auth, request())) for _ in range(3)]
    await asyncio.sleep(0)
    assert await fail(auth, request()) == 429
    assert (await auth.authenticate(request(SECRET))).name == "ada"
    release.set()
    assert await asyncio.gather(*waiting) == [401, 401, 401]
    assert await fail(auth, request()) == 401


async def test_the_memory_is_bounded(
    auth: SlowedAuthenticator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(failed_sign_ins, "_MAX_KEYS", 50)
    for number in range(500):
        await fail(auth, request(name=f"n{number}" * 1_000, address=f"a{number}"))
    held = [*vars(auth).values()]
    sizes = [len(one) for one in held if isinstance(one, dict)]
    assert sizes == [50, 50]
    assert all(len(name) <= 128 for one in held if isinstance(one, dict) for _, name in one)
    for _ in range(6):  # the newest are remembered
        await fail(auth, request(name="m", address="a499"))
    assert clock.waited


async def test_the_log_names_who_is_known_and_shows_no_secret(
    auth: SlowedAuthenticator, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also not one that was sent as a user name."""
    canaries = [f"canary-{number}" for number in range(3)]
    await fail(auth, request(canaries[0]))
    await fail(auth, request("x", name=canaries[1]))
    token = HttpRequest(
        method="GET",
        raw_path=b"/",
        headers=[(b"authorization", f"Bearer {canaries[2]}".encode())],
    )
    await fail(auth, token)
    for _ in range(3):
        await fail(auth, request())
    clock.now += 61
    await fail(auth, request())
    assert [record.message for record in caplog.records] == [
        "failed sign-in from 10.0.0.7 as 'ada'",
        "failed sign-in from 10.0.0.7 under an unknown name",
        "failed sign-in from an unknown address with a token",
        "failed sign-in from 10.0.0.7 as 'ada' (and 3 times before)",
    ]
    assert not any(canary in caplog.text for canary in canaries)


@pytest.mark.parametrize(
    "value", [b"Basic", b"Basic ?", b"Basic /w==", b"Basic Og==", b"\xff\xff", b"Bearer", b"x y z"]
)
async def test_any_header_is_refused_as_any_other(
    auth: SlowedAuthenticator, value: bytes, clock: Clock
) -> None:
    sent = HttpRequest(
        method="GET", raw_path=b"/", headers=[(b"authorization", value)], client="10.0.0.7"
    )
    for _ in itertools.repeat(None, 7):
        assert await fail(auth, sent) == 401
    assert clock.waited == [0.1, 0.2]
