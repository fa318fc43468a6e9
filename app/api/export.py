"""Streaming response of an export."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.schemas.listing import ExportFormat

_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_EXAMPLES = {
    "csv": "id,email,username,full_name,is_active,is_superuser,created_at,updated_at\r\n"
    "1,ada@example.com,ada,Ada Lovelace,true,false,"
    "2026-11-21T06:30:00.123456+00:00,2026-11-21T06:30:00.123456+00:00\r\n",
    "ndjson": '{"id":1,"email":"ada@example.com","username":"ada","full_name":"Ada Lovelace",'
    '"is_active":true,"is_superuser":false,"created_at":"2026-11-21T06:30:00.123456Z",'
    '"updated_at":"2026-11-21T06:30:00.123456Z"}\n',
}
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {
            _MEDIA_TYPES[name].partition(";")[0]: {
                "schema": {"type": "string"},
                "example": example,
            }
            for name, example in _EXAMPLES.items()
        },
    }
}


class ExportResponse(StreamingResponse):
    """Iterates a stream while it is sent, and closes it even where the client disconnects.

    The first part is awaited before the response starts, so that an early failure is an ordinary
    error response, and no broken file.
    """

    def __init__(
        self,
        stream: AsyncGenerator[bytes, None],
        name: str,
        file_format: ExportFormat,
        headers: Mapping[str, str],
    ) -> None:
        """Args: headers: those of the response that FastAPI would have made, limits among them."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        disposition = f'attachment; filename="{name}-{now}.{file_format}"'
        headers = {**headers, "Content-Disposition": disposition}
        super().__init__(stream, headers=headers, media_type=_MEDIA_TYPES[file_format])
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._stream) as stream:
            self.body_iterator = _joined(await anext(stream), stream)
            await super().__call__(scope, receive, send)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part
