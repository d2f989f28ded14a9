"""Settings of the live layer."""

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server import LiveOptions

_MEGABYTE = 1_048_576


def live_of(settings: ServerSettings, *, connections: int) -> LiveOptions | None:
    """Return the options of the live layer, `None` if it is switched off.

    Args:
        settings: The settings.
        connections: The largest number of connections of a process. Some of them stay free for
            requests that are not held.
    """
    if not settings.live:
        return None
    return LiveOptions(
        max_staleness=settings.max_staleness,
        cache_bytes=settings.cache_megabytes * _MEGABYTE,
        max_watchers=min(settings.max_watchers, connections * 3 // 4),
        on_broken=settings.on_broken,
    )
