"""Ids of requests: which are taken, which are made, and where they appear."""

import logging

import pytest

from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    current_request_id,
    identified_request,
)
from pyfly.config_server.http.controller import Controller
from pyfly.config_server.http.messages import HttpRequest

SECRET = "s3cr3t"


@pytest.mark.parametrize("given", [b"abc", b"4bf92f35-77b3:7/1=+._~", b"x" * 128])
def test_a_well_formed_id_is_taken(given: bytes) -> None:
    with identified_request([(b"X-Request-Id", given)]) as request_id:
        assert request_id.encode() == given
        assert current_request_id() == request_id
        with identified_request([(b"x-request-id", b"inner")]) as inner:
            assert inner == request_id
    assert current_request_id() == ""


@pytest.mark.parametrize("given", [b"", b"a b", b"a\nb", "ä".encode(), b"x" * 129, b'"', b"a,b"])
def test_another_id_is_replaced(given: bytes) -> None:
    with identified_request([(b"x-request-id", given)]) as request_id:
        assert len(request_id) == 16
    with identified_request([(b"x-request-id", b"a")] * 2) as request_id:
        assert len(request_id) == 16


@pytest.mark.anyio
async def test_errors_and_their_log_lines_have_it(caplog: pytest.LogCaptureFixture) -> None:
    ids: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ids.append(current_request_id())

    class Broken:
        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            raise RuntimeError(SECRET)

        async def save(self, source: ConfigSource) -> None:
            return None

        async def list(self) -> list[ConfigSource]:
            return []

    controller = Controller(ConfigServer(Broken()), auth=None)
    headers = [(b"host", b"localhost"), (b"x-request-id", b"r-1")]
    logger, handler = logging.getLogger("pyfly.config_server"), Noting()
    logger.addHandler(handler)
    try:
        request = HttpRequest(method="GET", raw_path=b"/config/orders/dev", headers=headers)
        response = await controller.handle(request)
    finally:
        logger.removeHandler(handler)
    assert response.status == 500
    assert (b"x-request-id", b"r-1") in response.headers
    assert ids == ["r-1"]
    assert SECRET not in caplog.text
    request = HttpRequest(method="GET", raw_path=b"/config/_nowhere", headers=headers[:1])
    missing = await controller.handle(request)
    assert len(dict(missing.headers).get(b"x-request-id", b"")) == 16
