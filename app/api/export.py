"""Streaming response of an export."""

import csv
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from app.schemas.base import example_of
from app.schemas.list_params import ExportFormat

_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "json": "application/json",
}


def export_of(schema: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of an export: a file for each format, with the example of a row that
    the examples of the schema's fields make."""
    row = example_of(schema)
    lines = io.StringIO()
    csv.writer(lines).writerows([row, [_cell(value) for value in row.values()]])
    examples = {"csv": lines.getvalue(), "ndjson": f"{json.dumps(row)}\n"}
    return {
        200: {
            "description": "The file",
            "content": {
                _MEDIA_TYPES[name].partition(";")[0]: {
                    "schema": {"type": "string"},
                    "example": example,
                }
                for name, example in examples.items()
            },
        }
    }


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class ExportResponse(StreamingResponse):
    """Iterates a stream while it is sent, and closes it even where the client disconnects.

    The first part is awaited before the response starts, so that an early failure is an ordinary
    error response, and no broken file.
    """

    def __init__(
        self,
        stream: AsyncGenerator[bytes, None],
        name: str,
        file_format: ExportFormat | Literal["json"],
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
