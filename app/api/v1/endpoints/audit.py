"""Endpoints of the audit trail, list and export. No route changes an event."""

from typing import Annotated

from fastapi import Query, Response

from app.api.deps.auth import Requires
from app.api.deps.services import resource
from app.api.export import ExportResponse, export_of
from app.api.responses import errors
from app.api.routing import Router
from app.api.types import CursorPaginationParams, FileFormat
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.audit import AuditEventPage, AuditEventSchema, AuditFilters
from app.services.audit_log.service import AuditService

Audit = Annotated[AuditService, resource(AuditService)]
Reader = Annotated[Principal, Requires(Permission.AUDIT_READ)]
Filters = Annotated[AuditFilters, Query()]

router = Router(prefix="/audit", tag="audit", description="Who did what: append-only events.")


@router.get(
    "",
    operation_id="list_audit_events",
    response_description="A page of events",
    responses=errors(401, 403),
)
async def list_audit_events(
    filters: Filters, params: CursorPaginationParams, audit: Audit, _: Reader
) -> AuditEventPage:
    """A page of events behind a cursor, the newest first."""
    return AuditEventPage.model_validate(await audit.page(filters, params))


@router.get(
    "/export",
    operation_id="export_audit_events",
    status_code=200,  # FastAPI cannot guess it from a response class of our own
    response_class=ExportResponse,
    responses={**export_of(AuditEventSchema), **errors(401, 403)},
)
async def export_audit_events(
    filters: Filters,
    audit: Audit,
    response: Response,
    _: Reader,
    file_format: FileFormat = "ndjson",
) -> ExportResponse:
    """All events that the filters leave, as a file."""
    stream = audit.export(filters, file_format)
    return ExportResponse(stream, "audit", file_format, response.headers)
