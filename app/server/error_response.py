"""Error responses of the server itself, to requests that the application does not see."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

CLOSE = b"connection: close\r\n"
OVERLOAD = HTTPStatus.SERVICE_UNAVAILABLE, "overload"


def without_body(message: bytes) -> bytes:
    """The head of a response, for HEAD requests."""
    return message[: message.index(b"\r\n\r\n") + 4]


def response(
    status: HTTPStatus,
    headers: Sequence[tuple[bytes, bytes]],
    last: bytes,
    request_id: str | None = None,
) -> bytes:
    """An error response in the API's shape.

    Args:
        status: of the response; 503 also gets `Retry-After`.
        headers: default headers of the server.
        last: `CLOSE` to end the connection, else empty.
        request_id: 32 hexadecimal digits; default: a new one.
    """
    request_id = request_id or uuid4().hex
    code = status.phrase.lower().replace(" ", "_")
    body = json.dumps(
        {"error": code, "message": status.phrase, "details": [], "request_id": request_id}
    ).encode()
    lines = [
        *headers,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append((b"retry-after", b"1"))
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b%b%b\r\n%b" % (STATUS_LINE[status], head, last, body)
