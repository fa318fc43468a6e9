"""`ETag` and `If-Match` of users."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Response
from fastapi.responses import JSONResponse

from app.api.responses import REPLAYED
from app.schemas.user import SignUpPending, UserSchema
from app.services.user.registration import SignedUp

VersionCheck = Callable[[datetime], bool]


def etag_of(updated_at: datetime) -> str:
    """A strong entity tag: the time of the last change, in microseconds, as the database has it."""
    return f'"{updated_at.isoformat()}"'


def tagged(user: UserSchema, response: Response) -> UserSchema:
    """`user`, with their `ETag` in the response."""
    response.headers["ETag"] = etag_of(user.updated_at)
    return user


def signed_up(result: SignedUp, path: str, headers: Mapping[str, str]) -> Response:
    """The answer to a sign-up: 201 and the user with `ETag` and `Location`, or 202.

    Args:
        result: of the service.
        path: of the users.
        headers: those of the response that FastAPI would have made, limits among them.
    """
    headers = {**headers, **({REPLAYED: "true"} if result.is_replay else {})}
    user = json.loads(result.body)
    if user is None:
        return JSONResponse(SignUpPending().model_dump(), 202, headers)
    headers["Location"] = f"{path}/{user['id']}"
    headers["ETag"] = etag_of(datetime.fromisoformat(user["updated_at"]))
    return Response(result.body, 201, headers, media_type="application/json")


async def get_version_check(
    if_match: Annotated[
        str | None,
        Header(
            max_length=1000,
            description="`ETag` of the user as you read them: 412 if they have changed since",
            examples=['"2026-11-21T06:30:00.123456+00:00"'],
        ),
    ] = None,
) -> VersionCheck:
    """Whether a version of a user is one that `If-Match` names; any without the header, or by `*`.

    Comparison is strong (RFC 9110 §13.1.1): a weak tag matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return lambda _: True
    tags = {tag.strip() for tag in if_match.split(",")}
    return lambda updated_at: etag_of(updated_at) in tags


IfMatch = Annotated[VersionCheck, Depends(get_version_check)]
