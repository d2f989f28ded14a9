"""Answers to requests whose bytes were answered before, without parsing them again."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import httptools

from pyfly.config_cli._serving.transport import Headers
from pyfly.config_server import ConfigServerApp, KnownRequest, ReadyResponse

_MAX_REQUESTS: Final = 20_000
_LONGEST_REQUEST: Final = 1_024
_UNREPEATED: Final = frozenset({b"prefer", b"traceparent", b"x-request-id"})
"""Headers of requests that may be held, or that are never sent again with the same bytes."""


@dataclass(slots=True, kw_only=True)
class _Known:
    """A request, and the head of its newest response."""

    request: KnownRequest
    response: ReadyResponse | None = None
    start: bytes = b""
    """The status line, and the name of the field `Date`."""
    end: bytes = b""
    """The line end of `Date`, the other fields, and the empty line."""

    def render(self, response: ReadyResponse, more: Headers) -> None:
        """Render the head of a response.

        Args:
            response: The response.
            more: Headers of every response of this server.
        """
        status = self.request.status
        own = response.headers if status == HTTPStatus.OK else response.known_headers
        self.response = response
        self.start = b"HTTP/1.1 %d %s\r\ndate: " % (status, HTTPStatus(status).phrase.encode())
        self.end = b"".join((b"\r\n", *(b"%s: %s\r\n" % field for field in (*more, *own)), b"\r\n"))


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
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._second = 0
        self._date = b""

    def find(self, request: bytes) -> bytes | None:
        """Return the response to a request that was learned; `None` if the server must handle it.

        Args:
            request: The bytes of exactly one request.
        """
        known = self._known.get(request)
        found = None if known is None else self._app.answer_now(known.request)
        if known is None or found is None:
            return None
        response, body = found
        if response is not known.response:
            known.render(response, self._headers)
        now = int(time.time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True).encode()
        return b"".join((known.start, self._date, known.end, body))

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
        self._known[request] = _Known(request=known)
        response = self.find(request)
        if response is None:  # a refused credential, for example
            del self._known[request]
        return response
