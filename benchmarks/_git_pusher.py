"""Pushes commits to a branch: python _git_pusher.py WORK REMOTE PAUSE [PORT HEADERS | CLONE].

One push each line of standard input, which is a commit of the repository WORK, one every PAUSE
seconds, or each at once after the one before. After a push, the webhook of the server at PORT is
called, or the remote is fetched into CLONE as a server would. A line `COMMIT MONOTONIC` is printed
for each.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from http import HTTPStatus

REFSPEC = "+refs/heads/*:refs/heads/*"


def push(work: str, remote: str, commit: str) -> None:
    """Push as a person does."""
    command = ["git", "-C", work, "push", "--quiet", remote, f"{commit}:refs/heads/main"]
    subprocess.run(command, check=True)


def call_webhook(port: int, headers: dict[str, str]) -> None:
    """Tell the server that something was pushed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    fields = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    connection.request("POST", "/monitor", body="path=app0", headers=fields)
    if connection.getresponse().status != HTTPStatus.OK:
        raise RuntimeError("the webhook is refused")
    connection.close()


class Fetcher:
    """Fetches in the background; who asks during a fetch waits for the next one."""

    def __init__(self, clone: str, remote: str) -> None:
        self._command = ["nice", "git", "-C", clone, "fetch", "--quiet", "--force", "--prune"]
        self._command += ["--no-tags", "--no-write-fetch-head", remote, REFSPEC]
        self._asked = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self) -> None:
        """Fetch soon."""
        self._asked.set()

    def _run(self) -> None:
        while self._asked.wait():
            self._asked.clear()
            subprocess.run(self._command, check=False)


def main() -> None:
    work, remote, pause, *after = sys.argv[1:]
    fetcher = Fetcher(after[0], remote) if len(after) == 1 else None
    due = time.monotonic()
    for line in sys.stdin.read().split():
        time.sleep(max(0.0, due - time.monotonic()))
        push(work, remote, line)
        print(line, time.monotonic(), flush=True)
        if fetcher is not None:
            fetcher.ask()
        elif after:
            call_webhook(int(after[0]), json.loads(after[1]))
        due = max(due + float(pause), time.monotonic() if not float(pause) else 0.0)


if __name__ == "__main__":
    main()
