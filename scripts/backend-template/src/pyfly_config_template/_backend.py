"""The storage interface in terms of a dict."""

import secrets
from dataclasses import replace
from typing import Self

from pyfly.config_core import DEFAULT_LABEL, BackendLookupError, ConfigKey
from pyfly.config_server.storage import ANY, ConfigSource, Expected, check_expected


class TemplateConfigBackend:
    """Keeps bundles in memory; they are gone when the process ends.

    For one event loop: each operation is atomic because it does not wait inside.
    """

    def __init__(self) -> None:
        self._bundles: dict[ConfigKey, ConfigSource] = {}

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `template:`.

        Raises:
            BackendLookupError: Anything stands after the colon.
        """
        if url != "template:":
            raise BackendLookupError("a template: URL is just 'template:'")
        return cls()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._bundles)} bundles)"

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return a copy of the bundle, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        found = self._bundles.get(key)
        return None if found is None else replace(found)

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle."""
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - there is no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> str:
        """Replace the bundle if `expected` holds; return its new version.

        Raises:
            ConfigConflictError: `expected` does not hold.
        """
        stored = self._bundles.get(source.key)
        current = None if stored is None else stored.version
        check_expected(source.key, expected=expected, current=current)
        version = secrets.token_hex(8)
        self._bundles[source.key] = replace(source, version=version, resource=None, documents=())
        return version

    async def list(self) -> list[ConfigSource]:
        """Return copies of all bundles, ordered by label, application, profile."""
        keys = sorted(self._bundles, key=lambda key: key.sort_key)
        return [replace(self._bundles[key]) for key in keys]
