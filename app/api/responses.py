"""What the OpenAPI document says about answers, and those that are complete already."""

from http import HTTPStatus
from typing import Any

from fastapi import Response

from app.schemas import BulkReport, ErrorSchema
from app.services import Answer

_ALWAYS = (429, 500, 503, 504)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with `statuses`; the ones any route may give,
    429, 500, 503 and 504, are added."""
    return {
        status: {"model": ErrorSchema, "description": HTTPStatus(status).phrase}
        for status in (*statuses, *_ALWAYS)
    }


BULK_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkReport, "description": "With `dry_run`: what would become of the list"}
}


def complete(answer: Answer) -> Response:
    """`answer` as it is."""
    return Response(answer.body, answer.status, media_type="application/json")
