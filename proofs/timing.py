"""Does the time of a refusal tell whether a principal or a token exists?"""

import argparse
import asyncio
import base64
import gc
import hashlib
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pyfly.config_server import (
    AccessFileAuthenticator,
    ConfigServer,
    Controller,
    FollowedAccessFile,
    HttpRequest,
    InMemoryConfigBackend,
)
from pyfly.config_server.access.tokens import make_token

PRINCIPALS: Final = 1_000
CROPPED: Final = 0.1
"""The slowest part of all samples, which the operating system has interrupted."""
LIMIT: Final = 4.5
"""A larger t of Welch's test is a difference, as in the tests of cryptographic code (dudect)."""


def access_file(directory: Path) -> tuple[FollowedAccessFile, list[str]]:
    """Write an access file of many principals; return it with their tokens."""
    path = directory / "access.toml"
    tokens = [make_token() for _ in range(PRINCIPALS)]
    rows = [
        f"[principals.p{number}]\ntokens = [{{ id = 'a', sha256 = '{digest}' }}]\n"
        for number, token in enumerate(tokens)
        for digest in [hashlib.sha256(token.encode()).hexdigest()]
    ]
    path.write_text("".join(rows), encoding="utf-8")
    path.chmod(0o600)
    return FollowedAccessFile(path), tokens


def basic(name: str, token: str) -> bytes:
    """Return a header with a name and a token."""
    return b"Basic " + base64.b64encode(f"{name}:{token}".encode())


def header(kind: str, tokens: list[str], choice: random.Random) -> bytes:
    """Return a header that is refused, of the same length for each kind."""
    number = choice.randrange(100, PRINCIPALS)
    wrong = make_token()
    match kind:
        case "unknown name":
            return basic(f"q{number}", wrong)
        case "known name":
            return basic(f"p{number}", wrong)
        case "almost a token":
            real = tokens[number]
            return basic(f"p{number}", real[:-7] + wrong[-7:])
        case _:
            raise AssertionError(kind)


KINDS: Final = ("unknown name", "known name", "almost a token")


async def measure(tries: int) -> dict[str, list[int]]:
    """Return the nanoseconds of refusals by their kind, in random order."""
    choice = random.Random(7)  # noqa: S311 - an order, not a secret
    samples: dict[str, list[int]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory:
        file, tokens = access_file(Path(directory))
        server = ConfigServer(InMemoryConfigBackend())
        auth = AccessFileAuthenticator(file)
        controller = Controller(server, auth=auth)
        order = [kind for kind in KINDS for _ in range(tries)]
        choice.shuffle(order)
        tries_made = [(kind, header(kind, tokens, choice)) for kind in order]
        gc.disable()
        for kind, value in tries_made:
            headers = [(b"authorization", value)]
            request = HttpRequest(method="GET", raw_path=b"/config/a/b", headers=headers)
            began = time.perf_counter_ns()
            response = await controller.handle(request)
            samples[kind].append(time.perf_counter_ns() - began)
            assert response.status == 401  # noqa: PLR2004, S101 - every try is refused
        gc.enable()
        await auth.aclose()
        await server.aclose()
    return samples


def cropped(samples: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the samples without those that are above a common bound."""
    everything = sorted(value for values in samples.values() for value in values)
    bound = everything[int(len(everything) * (1 - CROPPED))]
    return {kind: [value for value in values if value <= bound] for kind, values in samples.items()}


def welch(one: list[int], other: list[int]) -> float:
    """Return t of Welch's test."""
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / spread**0.5


def main() -> int:
    """Measure and compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10_000, help="of each kind")
    samples = cropped(asyncio.run(measure(parser.parse_args().tries)))
    first, *others = KINDS
    for kind, values in samples.items():
        print(f"{kind:16} {len(values):7,} tries, mean {statistics.fmean(values) / 1000:.3f} us")
    found = 0.0
    for kind in others:
        t = welch(samples[first], samples[kind])
        found = max(found, abs(t))
        print(f"{first} / {kind}: t = {t:+.2f}")
    print("indistinguishable" if found < LIMIT else f"distinguishable: t is beyond {LIMIT}")
    return 0 if found < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
