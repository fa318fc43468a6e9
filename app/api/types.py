"""`Annotated` aliases of endpoint parameters: pagination, filters, ids in paths."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query

from app.core.pagination import CursorParams, PageParams
from app.schemas.base import MAX_BIGINT
from app.schemas.list_params import ExportFormat

PaginationParams = Annotated[PageParams, Query()]
CursorPaginationParams = Annotated[CursorParams, Query()]
FileFormat = Annotated[ExportFormat, Query(alias="format", examples=["ndjson"])]
ByteOrderMark = Annotated[
    bool, Query(alias="bom", description="begin a csv so that Excel reads it as UTF-8")
]
DryRun = Annotated[bool, Query(description="check only: create nothing, and hash nothing")]
UserId = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="the user's id", examples=[1])]
PasskeyId = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="the passkey's id", examples=[1])]
InvitationId = Annotated[
    int, Path(ge=1, le=MAX_BIGINT, description="the invitation's id", examples=[1])
]
SessionId = Annotated[UUID, Path(description="the session's id")]
