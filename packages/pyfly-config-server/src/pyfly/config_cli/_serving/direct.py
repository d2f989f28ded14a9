"""Answers to requests whose bytes were answered before, without parsing them again."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import httptools

from pyfly.config_cli._serving.transport import Headers
from pyfly.config_server import ConfigServerApp, KnownRequest

_MAX_REQUESTS: Final = 20_000
_LONGEST_REQUEST: Final = 1_024
_UNREPEATED: Final = frozenset({b"prefer", b"traceparent", b"x-request-id"})
"""Headers of requests that may be held, or that are never sent again with the same bytes."""


class DirectAnswers:
    """The answers of one application to requests whose bytes were seen before.

    Identical bytes mean the same request. What may have changed since is checked each time: the
    answer, the accepted hosts, the credential.

    Args:
        app: The application.
        headers: Headers of every response of this server, after the date.
    """

    def __init__(self, app: ConfigServerApp, headers: Headers = ()) -> None:
        self._app = app
        self._headers = headers
        self._known: OrderedDict[bytes, KnownRequest] = OrderedDict()
        self._second = 0
        self._starts: dict[int, bytes] = {}

    def find(self, request: bytes) -> bytes | None:
        """Return the response to a request that was learned; `None` if the server must handle it.

        Args:
            request: The bytes of exactly one request.
        """
        known = self._known.get(request)
        body = None if known is None else self._app.answer_now(known)
        if known is None or body is None:
            return None
        if int(time.time()) != self._second:
            self._note_date()
        return b"".join((self._starts[known.status], known.head or self._render(known), body))

    def _note_date(self) -> None:
        """Render the beginnings of all responses of this second."""
        self._second = int(time.time())
        date = formatdate(self._second, usegmt=True)
        self._starts = {
            status: f"HTTP/1.1 {status} {status.phrase}\r\ndate: {date}\r\n".encode()
            for status in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)
        }

    def _render(self, known: KnownRequest) -> bytes:
        """Render the headers of a response after the date, with the empty line."""
        ready = known.ready
        assert ready is not None  # noqa: S101 - it was answered
        own = ready.headers if known.status == HTTPStatus.OK else ready.known_headers
        fields = (b"%s: %s\r\n" % field for field in (*self._headers, *own))
        known.head = b"".join((*fields, b"\r\n"))
        return known.head

    def learn(
        self, request: bytes, target: bytes, fields: Sequence[tuple[bytes, bytes]]
    ) -> bytes | None:
        """Return the response if the application has answered such a request, and remember both.

        Args:
            request: The bytes of exactly one GET request of HTTP/1.1 that keeps its connection.
            target: The request target, as sent.
            fields: The header fields, names in lower case, in the order in which they were sent.
        """
        self._known.pop(request, None)  # it comes last again
        if len(request) > _LONGEST_REQUEST or not target.startswith(b"/"):
            return None
        if not _UNREPEATED.isdisjoint(dict(fields)):
            return None
        url = httptools.parse_url(target)
        known = self._app.recognize(
            {
                "type": "http",
                "method": "GET",
                "raw_path": url.path,
                "query_string": url.query or b"",
                "root_path": "",
                "headers": fields,
            }
        )
        if known is None:
            return None
        if len(self._known) >= _MAX_REQUESTS:
            self._known.popitem(last=False)
        self._known[request] = known
        response = self.find(request)
        if response is None:  # a refused credential, for example
            del self._known[request]
        return response
