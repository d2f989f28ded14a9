"""What rules cost: hot reads of a thousand principals against those with one shared token.

`shared` reads a thousand documents in turns with the shared token. `principals` reads the same with
an access file of a thousand principals, each its own document with its own token. `one document`
and `one of all` read a single document, with the shared token and with the tokens of a thousand
principals in turns. The load generator is the same, and so are the bytes of each but the tokens; a
thousand callers send requests that differ, with the shared token, too.
Needs wrk (apt-get install wrk).
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from _load import add_short, compare, option_parser, report_pairs
from _processes import Meter, Running, asgi, free_port, need_wrk, running
from _stores import TOKEN, application, path_of, write_files
from pyfly.config_litestar import ReadyApp, create_asgi_app
from pyfly.config_server import (
    AccessFileAuthenticator,
    Authenticator,
    ConfigServer,
    FilesystemConfigBackend,
    FollowedAccessFile,
    SharedCredential,
)
from pyfly.config_server.access.tokens import make_token

ROOT = "BENCHMARK_ROOT"
PRINCIPALS = 1_000
SCRIPT = """
local tokens = {TOKENS}
local number = 0
request = function()
  number = (number + 1) % COUNT
  return wrk.format("GET", string.format("PATH", number),
    {["Authorization"] = "Bearer " .. tokens[number % #tokens + 1],
     ["X-Caller"] = string.format("%05d", number)})
end
"""


def make_shared() -> ReadyApp:
    """Return the server with a shared token."""
    return make_app(SharedCredential.bearer(TOKEN))


def make_principals() -> ReadyApp:
    """Return the server with an access file."""
    return make_app(
        AccessFileAuthenticator(FollowedAccessFile(Path(os.environ[ROOT], "access.toml")))
    )


def make_app(auth: Authenticator) -> ReadyApp:
    return create_asgi_app(
        ConfigServer(FilesystemConfigBackend(Path(os.environ[ROOT], "store"))), auth=auth
    )


def write_access_file(path: Path, tokens: list[str]) -> None:
    """Write a file of principals, each with a rule for its own application and `app00000`."""
    rows = [
        f"[principals.p{number}]\n"
        f"rules = [{{ rights = ['read'], on = '{application(number)}/*/*' }},\n"
        f"  {{ rights = ['read'], on = '{application(0)}/*/*' }}]\n"
        f"[[principals.p{number}.tokens]]\n"
        f"id = 't'\nsha256 = '{hashlib.sha256(token.encode()).hexdigest()}'\n"
        "created = 2026-01-01T00:00:00Z\n"
        for number, token in enumerate(tokens)
    ]
    path.write_text("\n".join(rows), encoding="utf-8")
    path.chmod(0o600)


def meter_of(server: Running, script: Path, tokens: list[str], callers: int, seconds: int) -> Meter:
    """Return what measures callers in turns: each reads its document, or all read one."""
    path = path_of(0) if "one" in script.stem else "/config/app%05d/prod/main"
    text = SCRIPT.replace("TOKENS", ", ".join(map(json.dumps, tokens)))
    text = text.replace("PATH", path).replace("COUNT", str(callers))
    script.write_text(text, encoding="utf-8")
    return Meter(server, path_of(0), seconds=seconds, script=script)


def main() -> int:
    parser = option_parser(__doc__, rounds=5)
    add_short(parser)
    parser.set_defaults(seconds=3, principals=PRINCIPALS)
    options = parser.parse_args()
    if options.short:
        vars(options).update(rounds=1, seconds=1, principals=20)
    need_wrk()
    tokens = [make_token() for _ in range(options.principals)]
    shared, principals = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        root, variables = Path(directory), {ROOT: directory}
        write_files(root / "store", options.principals)
        write_access_file(root / "access.toml", tokens)
        ready = "/health/live"
        with (
            running(asgi(shared, "access:make_shared"), shared, ready, variables=variables) as one,
            running(
                asgi(principals, "access:make_principals"), principals, ready, variables=variables
            ) as two,
        ):
            first, second = Running(port=shared, pid=one.pid), Running(port=principals, pid=two.pid)
            meters = {
                name: meter_of(
                    server, root / f"{name}.lua", given, options.principals, options.seconds
                )
                for name, server, given in (
                    ("shared", first, [TOKEN]),
                    ("principals", second, tokens),
                    ("one document", first, [TOKEN]),
                    ("one of all", second, tokens),
                )
            }
            rates = compare(meters, options, warm=not options.short)
    costs = {name: meter.microseconds[-options.rounds :] for name, meter in meters.items()}
    pairs = {"principals": "shared", "one of all": "one document"}
    report_pairs(rates, pairs, options, costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
