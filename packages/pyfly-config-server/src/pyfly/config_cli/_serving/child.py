"""The first code of a worker process, which makes it end with its supervisor.

It is imported first: the import of the server takes a while, and a worker would hold the port if
its supervisor was killed in the meantime.
"""

import sys

from pyfly.config_cli._serving.channel import Channel


def main() -> int:
    """Run a worker to its end; return the exit code."""
    channel = Channel()
    from pyfly.config_cli._serving.worker import work  # noqa: PLC0415 - see above

    return work(channel)


if __name__ == "__main__":
    sys.exit(main())
