"""Responses of the connection itself, in place of the protocol."""

from http import HTTPStatus

__all__ = ["refusal"]


def refusal(status: HTTPStatus) -> bytes:
    """Return a whole response with a reason, after which the connection is closed."""
    retry = b"retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else b""
    body = b'{"status":%d,"error":"%s"}' % (status, status.phrase.encode())
    return (
        b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        b"%sconnection: close\r\n\r\n%s"
    ) % (status, status.phrase.encode(), len(body), retry, body)
