"""The two clients. Both share every decision; only the way of waiting differs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyfly.config_client._answer import Answer, check_answer
from pyfly.config_client._properties import ConfigProperties
from pyfly.config_client._request import ConfigRequest, build_request
from pyfly.config_core import DEFAULT_PROFILE

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport


class _Client:
    """What both clients are told and how they read an answer."""

    def __init__(  # noqa: PLR0913 - the settings of a client, all by keyword
        self,
        *,
        server_url: str,
        application: str,
        profile: str | Sequence[str] = DEFAULT_PROFILE,
        label: str | None = None,
        base_path: str = "/config",
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        timeout: float = 10.0,
        allow_empty: bool = False,
        transport: "AsyncBaseTransport | None" = None,
    ) -> None:
        if timeout <= 0:
            raise ValueError("the timeout must be more than 0 seconds")
        self._request: ConfigRequest = build_request(
            server_url=server_url,
            application=application,
            profile=profile,
            label=label,
            base_path=base_path,
            username=username,
            password=password,
            token=token,
        )
        self._timeout = timeout
        self._allow_empty = allow_empty
        self._transport = transport

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._request.url!r})"

    async def _exchange(self) -> Answer:
        from pyfly.config_client import _transport  # noqa: PLC0415 - importing costs 150 ms

        return await _transport.get(
            self._request.url,
            self._request.headers,
            timeout=self._timeout,
            transport=self._transport,
        )

    def _read(self, answer: Answer) -> ConfigProperties:
        return ConfigProperties(check_answer(self._request, answer, allow_empty=self._allow_empty))


class ConfigClient(_Client):
    """Reads the configuration of one application; for asyncio.

    Holds no connection between calls, so there is nothing to close.

    Args:
        server_url: Such as `http://config:8888`. User info in it is percent-decoded and used.
        application: One name or a comma list.
        profile: One name, a comma list or a sequence; the last one wins.
        label: The version of the tree; `None` leaves it to the server.
        base_path: Where the server mounts its routes; empty for most Spring servers.
        username: For basic authentication; wins over the URL. `user` with a password alone.
        password: Likewise.
        token: A bearer token instead.
        timeout: Seconds for the whole call, from connecting to the last byte.
        allow_empty: Accept that nothing is stored for the application.
        transport: An httpx transport to use instead of the network; its owner closes it.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: Another argument cannot be used.
    """

    async def fetch(self) -> ConfigProperties:
        """Return the merged properties, or raise; never a part of them.

        Raises:
            ServerUnreachableError: There was no whole answer in time.
            ServerRejectedError: The server answered with another status than 200.
            InvalidPayloadError: The answer is not the configuration that was asked for.
        """
        return self._read(await self._exchange())


class SyncConfigClient(_Client):
    """The same client for code without an event loop; same arguments.

    May also be called from a thread in which an event loop runs; it then blocks that thread.
    """

    def fetch(self) -> ConfigProperties:
        """Return the merged properties, or raise; never a part of them.

        Raises:
            ConfigClientError: As `ConfigClient.fetch`.
        """
        from pyfly.config_client import _transport  # noqa: PLC0415 - importing costs 150 ms

        return self._read(_transport.run(self._exchange))
