"""`responses` of routes for the OpenAPI document, and the response of `POST /users/bulk`."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.schemas.account import OwnData
from app.schemas.bulk import BulkReport
from app.schemas.error import ErrorSchema, OAuthErrorSchema
from app.schemas.user import SignUpPending
from app.services.user.creation import BulkCreated

_ALWAYS = (422, 429, 500, 503, 504)
_WITH_BODY = (400, 408, 413, 415)
_MEANINGS = {
    400: "The body is malformed",
    401: "The credentials are missing or not valid",
    403: "The caller may not do this",
    404: "There is no such resource",
    408: "The body did not arrive in time",
    409: "The request conflicts with existing data",
    412: "It has changed since the `ETag` of `If-Match` was read",
    413: "The body is too large",
    415: "The content type is not supported",
    422: "A value is not valid, or a query parameter is unknown; `details` names each",
    429: "A rate limit is exceeded; `Retry-After` has the seconds to wait",
    500: "A fault of the service, which its log has under the same `request_id`",
    503: "Temporarily unavailable; `Retry-After` has the seconds to wait",
    504: "The deadline passed before the request was done",
}


_LIMITS = {
    "Retry-After": ("Seconds to wait", {"type": "integer"}),
    "RateLimit-Policy": (
        'The limit: its name, its hits and its seconds, as in `"login";q=5;w=60`',
        {"type": "string"},
    ),
    "RateLimit": (
        'What remains, and seconds until it is reset, as in `"login";r=0;t=30`',
        {"type": "string"},
    ),
}
_HEADERS: dict[int | str, dict[str, Any]] = {
    429: {
        "headers": {
            name: {"description": description, "schema": schema}
            for name, (description, schema) in _LIMITS.items()
        }
    }
}


def errors(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route with these error statuses. Those of every route are added, such as
    422 for an unknown query parameter, and with `body` those of routes that read a body."""
    return {
        status: {
            "model": ErrorSchema,
            "description": _MEANINGS[status],
            **_HEADERS.get(status, {}),
        }
        for status in sorted({*statuses, *_ALWAYS, *(_WITH_BODY if body else ())})
    }


TOKEN_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {
        "model": OAuthErrorSchema,
        "description": "The credentials are not valid, or the form is not (RFC 6749 §5.2)",
    },
    "4XX": {  # FastAPI adds a 422, which never comes, unless there is this
        "model": ErrorSchema,
        "description": "The form did not arrive in time (408), or its size (413) or type (415) is "
        "not accepted",
    },
    **{status: answer for status, answer in errors().items() if status != 422},
}
"""`responses` of a `TokenRoute`."""

UNKNOWN_PARAMETER: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorSchema, "description": "A query parameter is unknown"}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not modified: the ETag matches `If-None-Match`"}
}
ETAG: dict[str, Any] = {
    "ETag": {"description": "Version of the user, for `If-Match`", "schema": {"type": "string"}}
}
WITH_ETAG: dict[int | str, dict[str, Any]] = {200: {"headers": ETAG}}
REPLAYED = "Idempotency-Replayed"
_REPLAY = {
    REPLAYED: {
        "description": "`true` if this repeats the answer to an earlier request",
        "schema": {"type": "string"},
    }
}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "headers": {
            "Location": {"description": "Path of the user", "schema": {"type": "string"}},
            **ETAG,
        }
    }
}
_DEVICE_TOKEN = {
    "X-Device-Token": {
        "description": "Send it with later requests, in a header of the same name: wrong passwords "
        "of other clients then cannot keep this one from logging in",
        "schema": {"type": "string"},
    }
}
WITH_DEVICE_TOKEN: dict[int | str, dict[str, Any]] = {200: {"headers": _DEVICE_TOKEN}}
CHANGED_WITH_DEVICE_TOKEN: dict[int | str, dict[str, Any]] = {204: {"headers": _DEVICE_TOKEN}}
SIGNED_UP: dict[int | str, dict[str, Any]] = {
    201: {"headers": {**CREATED[201]["headers"], **_REPLAY}},
    202: {
        "model": SignUpPending,
        "description": "With AUTH_EMAIL_VERIFICATION=required: a mail follows",
        "headers": _REPLAY,
    },
}
OWN_DATA: dict[int | str, dict[str, Any]] = {200: {"description": "The file", "model": OwnData}}
"""`responses` of the export of one's own data."""
WITH_OR_WITHOUT_TOKEN: dict[str, Any] = {"security": [{}]}
"""`openapi_extra` of a route that anonymous callers may use, and that reads a token if one is
sent."""
BULK_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkReport, "description": "With `dry_run`: the result of the check"},
    201: {
        "description": "The created users, in the order of the request",
        "headers": _REPLAY,
    },
}


_ONE_OR_MORE = "The invitation, or the list of them in the order of the request"
INVITATION_ANSWERS = BULK_ANSWERS | {201: {**BULK_ANSWERS[201], "description": _ONE_OR_MORE}}


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
        headers = {**headers, **({REPLAYED: "true"} if result.is_replay else {})}
    return Response(body, status, dict(headers), media_type="application/json")
