"""What the OpenAPI document says about refusals."""

from http import HTTPStatus
from typing import Any

from app.schemas import ErrorSchema

_ALWAYS = (429, 500, 503, 504)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with `statuses`; the ones any route may give,
    429, 500, 503 and 504, are added."""
    return {
        status: {"model": ErrorSchema, "description": HTTPStatus(status).phrase}
        for status in (*statuses, *_ALWAYS)
    }
