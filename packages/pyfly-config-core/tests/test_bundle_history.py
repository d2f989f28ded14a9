"""Histories of bundles without HTTP: pages, all of them, and how long their rows may be."""

import pytest

from pyfly.config_core import ConfigFormatError, ConfigKey, ConfigNotFoundError
from pyfly.config_server import Bundles, ConfigSource, InMemoryConfigBackend
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

KEY = ConfigKey(application="orders", profile="prod")
SOURCE = ConfigSource(application="orders", profile="prod", properties={})


@pytest.fixture
def bundles() -> Bundles:
    return Bundles(InMemoryConfigBackend())


async def test_all_versions_are_walked_through_page_by_page(bundles: Bundles) -> None:
    made = [await bundles.commit(SOURCE, expected=ANY) for _ in range(2_001)][::-1]
    assert [row.version for row in await bundles.history(KEY)] == made[:100]
    assert [row.version async for row in bundles.versions(KEY)] == made
    for most in (0, 1, 999, 1_000, 1_001, 2_000, 2_001, 5_000):
        assert [row.version async for row in bundles.versions(KEY, most=most)] == made[:most]
    older = bundles.versions(KEY, most=1_500, before=made[300])
    assert [row.version async for row in older] == made[301:1_801]
    assert [row async for row in bundles.versions(KEY, before=made[-1])] == []


async def test_a_bundle_that_was_never_stored_has_no_versions(bundles: Bundles) -> None:
    with pytest.raises(ConfigNotFoundError, match="bundle"):
        await bundles.history(KEY)
    with pytest.raises(ConfigNotFoundError, match="bundle"):
        assert [row async for row in bundles.versions(KEY)]


async def test_author_and_message_have_a_longest_length(bundles: Bundles) -> None:
    version = await bundles.commit(SOURCE, expected=ANY, author="ä" * 256, message="ä" * 1_024)
    with pytest.raises(ConfigFormatError, match="the author has 257 characters, more than 256"):
        await bundles.commit(SOURCE, expected=ANY, author="ä" * 257)
    with pytest.raises(ConfigFormatError, match="the message has 1,025 characters"):
        await bundles.commit(SOURCE, expected=ANY, message="ä" * 1_025)
    assert [row.version for row in await bundles.history(KEY)] == [version]
