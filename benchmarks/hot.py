"""What many documents, and changes of others, cost the documents that are read all the time.

`one` reads one document again and again, `thousand` and `ten thousand` as many in turns; the
load generator is the same, and so are the bytes of each. `changes` reads a thousand while a bundle
of another application is stored twenty times a second; `shared` reads them while the bundle that
all of them contain is stored once a second, so that all have to be composed again; `quiet` is the
same without it. Each is compared with its baseline in the same round.
Needs wrk (apt-get install wrk).
"""

import contextlib
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path

from _fleet import mark
from _load import add_short, compare, option_parser, report_pairs
from _processes import Meter, Running, need_wrk
from _stores import BEARER, STORES, path_of, serving

SCRIPT = """
local number = 0
request = function()
  number = (number + 1) % COUNT
  return wrk.format("GET", string.format("/config/app%05d/prod/main", number))
end
"""
THOUSAND, TEN_THOUSAND = 1_000, 10_000
OTHER, SHARED = "another", "application"
PER_SECOND = {OTHER: 20, SHARED: 1}


@contextlib.contextmanager
def publishing(port: int, application: str) -> Generator[None]:
    """Store a bundle again and again until the end of the block."""
    ended = threading.Event()
    failed: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        number, due = 0, time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            number, due = number + 1, due + 1 / PER_SECOND[application]
            status = store(connection, application, number)
            if status >= http.HTTPStatus.BAD_REQUEST:
                failed.append(status)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failed:
        raise RuntimeError(f"the server refuses to store: {failed[0]}")


def store(connection: http.client.HTTPConnection, application: str, number: int) -> int:
    """Store a bundle; return the status."""
    headers = {**BEARER, "Content-Type": "application/json", "If-Match": "*"}
    body = json.dumps({"publish": mark(number)})
    connection.request("PUT", f"/config/_bundles/{application}/prod/main", body, headers)
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


def create(port: int, application: str) -> None:
    """Store a bundle for the first time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {**BEARER, "Content-Type": "application/json", "If-None-Match": "*"}
    connection.request("PUT", f"/config/_bundles/{application}/prod/main", "{}", headers)
    connection.getresponse().read()
    connection.close()


def read_all(port: int, documents: int) -> None:
    """Read every document once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(documents):
        connection.request("GET", path_of(number), headers=BEARER)
        connection.getresponse().read()
    connection.close()


def meter_of(server: Running, directory: Path, count: int, seconds: int) -> Meter:
    """Return what measures reading so many documents in turns."""
    script = directory / f"{count}.lua"
    script.write_text(SCRIPT.replace("COUNT", str(count)), encoding="utf-8")
    return Meter(server, path_of(0), seconds=seconds, headers=BEARER, script=script)


def main() -> int:
    parser = option_parser(__doc__, rounds=5)
    add_short(parser)
    parser.add_argument("--store", choices=STORES, default="files", help="(%(default)s)")
    parser.set_defaults(seconds=3, thousand=THOUSAND, ten_thousand=TEN_THOUSAND)
    options = parser.parse_args()
    if options.short:
        vars(options).update(rounds=1, seconds=1, thousand=20, ten_thousand=100)
    need_wrk()
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(options.store, options.ten_thousand) as server,
    ):
        create(server.port, OTHER)
        read_all(server.port, options.ten_thousand)
        counts = {"one": 1, "ten thousand": options.ten_thousand}
        counts |= dict.fromkeys(["thousand", "changes", "quiet", "shared"], options.thousand)
        meters = {
            name: meter_of(server, Path(directory), count, options.seconds)
            for name, count in counts.items()
        }
        meters["changes"].beside = partial(publishing, server.port, OTHER)
        meters["shared"].beside = partial(publishing, server.port, SHARED)
        rates: dict[str, list[float]] = {}
        for names in (("one", "thousand", "ten thousand", "changes"), ("quiet", "shared")):
            chosen = {name: meters[name] for name in names}
            rates |= compare(chosen, options, warm=not options.short)
    costs = {name: meter.microseconds[-options.rounds :] for name, meter in meters.items()}
    baselines = {"thousand": "one", "ten thousand": "one"}
    baselines |= {"changes": "thousand", "shared": "quiet"}
    report_pairs(rates, baselines, options, costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
