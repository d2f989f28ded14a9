"""An ASGI application that answers ready bytes: no server of configuration can do less."""

import base64
import json
import os
from collections.abc import Iterable
from typing import Any

from _processes import Answer

VARIABLE = "PYFLY_BENCH_ANSWERS"
BY_SERVER = {"date", "connection"}
"""Headers that the ASGI server adds itself."""


def record(answers: Iterable[tuple[str, Answer]]) -> dict[str, str]:
    """Return the variable from which `make_empty` knows what to answer at which path."""
    ready = [
        {
            "path": path,
            "status": answer.status,
            "headers": [[*one] for one in answer.headers.items() if one[0] not in BY_SERVER],
            "body": base64.b64encode(answer.body).decode(),
        }
        for path, answer in answers
    ]
    return {VARIABLE: json.dumps(ready)}


def make_empty() -> Any:
    """Return the application."""
    ready: dict[str, tuple[Any, Any]] = {}
    for one in json.loads(os.environ[VARIABLE]):
        headers = [(name.encode(), value.encode()) for name, value in one["headers"]]
        start = {"type": "http.response.start", "status": one["status"], "headers": headers}
        body = {"type": "http.response.body", "body": base64.b64decode(one["body"])}
        ready[one["path"]] = start, body

    async def empty(scope: Any, receive: Any, send: Any) -> None:
        start, body = ready[scope["path"]]
        await send(start)
        await send(body)

    return empty
