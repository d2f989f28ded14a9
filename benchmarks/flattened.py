"""What the flattened formats cost: the same six bundles as a document, and as one text.

`pyfly-config serve` serves the example repository; the baseline is the empty handler of the
benchmark `serve`, which answers the bytes of the document without looking at the request. One
worker each, connections are kept. Needs wrk (apt-get install wrk).
"""

import sys
from functools import partial

from _load import (
    EXAMPLES,
    asgi,
    compare,
    free_port,
    need_wrk,
    program,
    rate,
    read_options,
    report,
    running,
)

DOCUMENT = "/config/orders/prod,eu/main"
TEXT = "/config/main/orders-prod,eu"


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    empty, files = free_port(), free_port()
    command = [program("pyfly-config"), "serve", str(EXAMPLES), "--port", str(files)]
    with (
        running(asgi(empty, "serve:make_empty"), empty, DOCUMENT),
        running(command, files, DOCUMENT),
    ):
        measures = {
            "empty": partial(rate, empty, DOCUMENT),
            "document": partial(rate, files, DOCUMENT),
            **{
                extension: partial(rate, files, f"{TEXT}.{extension}")
                for extension in ("json", "yml", "properties")
            },
        }
        rates = compare(measures, options)
    report(rates, options, unit="requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
