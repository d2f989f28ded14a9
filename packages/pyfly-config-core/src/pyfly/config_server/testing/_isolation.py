"""The part of the required suite about the independence of bundles."""

import asyncio

import pytest

from pyfly.config_server.storage import ConfigBackend, ConfigSource
from pyfly.config_server.testing._suite import Conformance, bundle, fetched, stored

_NEIGHBOURS = (
    pytest.param(bundle("orders"), bundle("order"), id="application-prefix"),
    pytest.param(bundle("orders"), bundle("orders-api"), id="application-dash"),
    pytest.param(bundle("orders"), bundle("orders.api"), id="application-dot"),
    pytest.param(bundle("orders_api"), bundle("orders-api"), id="application-underscore"),
    pytest.param(bundle("orders-prod", "eu"), bundle("orders", "prod"), id="dash-or-profile"),
    pytest.param(bundle(profile="prod"), bundle(profile="pro"), id="profile-prefix"),
    pytest.param(bundle(profile="prod"), bundle(profile="prod.eu"), id="profile-dot"),
    pytest.param(bundle(profile="prod_eu"), bundle(profile="prod.eu"), id="profile-underscore"),
    pytest.param(bundle(label="main"), bundle(label="mai"), id="label-prefix"),
    pytest.param(bundle(label="feature/x"), bundle(label="feature"), id="label-parent"),
    pytest.param(bundle(label="feature/x"), bundle(label="feature/x/y"), id="label-child"),
    pytest.param(bundle(label="feature/x"), bundle(label="feature-x"), id="label-dash"),
    pytest.param(bundle(label="feature/x"), bundle(label="feature_x"), id="label-underscore"),
    pytest.param(bundle("orders", label="v1"), bundle("v1", label="orders"), id="swapped"),
)

IN_ORDER = tuple(
    bundle(application, profile, label)
    for label in ("feature", "feature-a", "feature.b", "feature/x", "feature0", "main", "v1.0")
    for application in ("application", "orders", "orders-api", "orders.eu", "orders_eu")
    for profile in ("default", "dev", "prod", "prod.eu")
)
"""Bundles in the order of a listing: by label, application and profile, compared as texts."""


class IsolationConformance(Conformance):
    """Bundles are independent; a listing has each exactly once, in order."""

    @pytest.mark.parametrize(("one", "other"), _NEIGHBOURS)
    async def test_bundles_of_similar_names_are_independent(
        self, backend: ConfigBackend, one: ConfigSource, other: ConfigSource
    ) -> None:
        """A save under one name does not appear under the other and does not replace it."""
        one, other = self.relabelled(one), self.relabelled(other)
        await backend.save(one)
        assert await fetched(backend, other) is None
        await backend.save(other)
        for source in (one, other):
            found = await stored(backend, source)
            assert found.key == source.key
            assert found.properties == source.properties

    async def test_a_listing_is_complete_and_in_order(self, backend: ConfigBackend) -> None:
        """Every bundle once, by label, application, profile, for any order of saves."""
        in_order = [*map(self.relabelled, IN_ORDER)]
        for source in reversed(in_order):
            await backend.save(source)
        await backend.save(in_order[0])
        listed = await backend.list()
        assert [source.key for source in listed] == [source.key for source in in_order]
        assert [source.properties for source in listed] == [s.properties for s in in_order]

    async def test_concurrent_saves_of_many_bundles_are_all_kept(
        self, backend: ConfigBackend
    ) -> None:
        """Writers of different bundles do not disturb each other."""
        sources = [*map(self.relabelled, IN_ORDER[::7])]
        await asyncio.gather(*(backend.save(source) for source in sources))
        found = await asyncio.gather(*(stored(backend, source) for source in sources))
        assert [source.properties for source in found] == [s.properties for s in sources]

    async def test_a_listing_and_a_fetch_tell_the_same_version(
        self, backend: ConfigBackend
    ) -> None:
        """Both have a version, or both have none."""
        for source in (bundle(), bundle("billing")):
            await backend.save(source)
        for listed in await backend.list():
            assert listed.version == (await stored(backend, listed)).version
