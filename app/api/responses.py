"""`responses` of routes for the OpenAPI document, and the response of `POST /users/bulk`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Response

from app.schemas.bulk import BulkReport
from app.schemas.error import ErrorSchema
from app.services.user.creation import BulkCreated

_ALWAYS = (422, 429, 500, 503, 504)
_WITH_BODY = (400, 408, 413, 415)


_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Phrases of RFC 9110, which Python has from 3.13 on: the document is the same in every version."""


def errors(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route with these error statuses. Those of every route are added, such as
    422 for an unknown query parameter, and with `body` those of routes that read a body."""
    return {
        status: {
            "model": ErrorSchema,
            "description": _RENAMED.get(status, HTTPStatus(status).phrase),
        }
        for status in sorted({*statuses, *_ALWAYS, *(_WITH_BODY if body else ())})
    }


MISSPELT: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorSchema, "description": "A query parameter is unknown"}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not modified: the ETag matches `If-None-Match`"}
}
_REPLAYED = "Idempotency-Replayed"

BULK_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkReport, "description": "With `dry_run`: the result of the check"},
    201: {
        "description": "The created users, in the order of the request",
        "headers": {
            _REPLAYED: {
                "description": "`true` if this repeats the answer to an earlier request",
                "schema": {"type": "string"},
            }
        },
    },
}


def bulk_response(result: BulkReport | BulkCreated, headers: Mapping[str, str]) -> Response:
    """200 and the report of a dry run, or 201 and the users.

    Args:
        result: of the service.
        headers: those of the response that FastAPI would have made, limits among them.
    """
    if isinstance(result, BulkReport):
        body, status = result.model_dump_json().encode(), 200
    else:
        body, status = result.body, 201
        headers = {**headers, **({_REPLAYED: "true"} if result.is_replay else {})}
    return Response(body, status, dict(headers), media_type="application/json")
