"""Every principal at every endpoint, for a repository; the matrix is that of the other stores."""

import logging
from collections.abc import Callable

import pytest
from access_requests import Kind
from access_served import served, wrong_answers
from access_stores import GUESSED, texts

from git_repositories import Repository
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import LiveOptions

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_the_matrix(
    repository: Repository,
    open_store: Callable[..., GitConfigBackend],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, logger="pyfly")
    repository.commit(texts("main") | dict([GUESSED]))
    repository.commit(texts("feature/x"), "feature/x")
    store = open_store(profiles="prod")
    async with served(store, live=LiveOptions()) as server:
        wrong = await wrong_answers(server, Kind(is_spring=True))
    assert not wrong, "\n".join(wrong[:100])
