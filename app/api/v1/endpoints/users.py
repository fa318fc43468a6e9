"""Endpoints of users: profile, lists, export, sign-up, bulk creation, changes."""

from typing import Annotated

from fastapi import Query, Request, Response

from app.api.convertors import USER_ID
from app.api.deps.auth import Caller, CurrentUser, EnrollingPrincipal, Requires
from app.api.deps.confirmation import Confirmed
from app.api.deps.etags import IfMatch, signed_up, tagged
from app.api.deps.idempotency import IdempotencyKey, SignUpKey
from app.api.deps.request import LongDeadline
from app.api.deps.services import Exports, Sessions, UserLists, Users, resource
from app.api.deps.users_bulk import BulkRows
from app.api.export import ExportResponse, export_of
from app.api.limits import (
    LimitedSignUp,
)
from app.api.responses import (
    BULK_ANSWERS,
    SIGNED_UP,
    WITH_ETAG,
    WITH_OR_WITHOUT_TOKEN,
    bulk_response,
    errors,
)
from app.api.routing import Router
from app.api.types import (
    ByteOrderMark,
    CursorPaginationParams,
    DryRun,
    FileFormat,
    PaginationParams,
    SessionId,
    UserId,
)
from app.core.limiter import by_address, limiter, rate
from app.core.permissions import Permission
from app.schemas.access.session import Principal, SessionPage
from app.schemas.audit import OwnEventPage
from app.schemas.user import SignUpOrCreate, UserSchema, UserUpdate
from app.schemas.user_list import UserCursorPage, UserFilters, UserPage
from app.services.audit_log.service import AuditService

Audit = Annotated[AuditService, resource(AuditService)]
Filters = Annotated[UserFilters, Query()]

router = Router(prefix="/users", tag="users", description="Signing up, and managing users.")

_sign_up = limiter.shared_limit(rate("sign_up"), scope="sign-up", key_func=by_address)


@router.get(
    "/me",
    operation_id="get_me",
    response_description="Your profile",
    responses=WITH_ETAG | errors(401),
)
async def get_me(caller: EnrollingPrincipal, response: Response) -> UserSchema:
    """Your own profile."""
    return tagged(caller.user, response)


@router.patch(
    "/me",
    operation_id="update_me",
    response_description="Your changed profile",
    responses=WITH_ETAG | errors(401, 403, 409, 412, body=True),
)
async def update_me(
    user_in: UserUpdate,
    users: Users,
    caller: CurrentUser,
    if_match: IfMatch,
    response: Response,
) -> UserSchema:
    """Change your own profile."""
    user = await users.update(caller.user_id, user_in, caller, if_match)
    return tagged(UserSchema.model_validate(user), response)


@router.get(
    "/me/events",
    operation_id="list_my_events",
    response_description="A page of events",
    responses=errors(401, 403),
)
async def list_my_events(
    params: CursorPaginationParams, audit: Audit, caller: CurrentUser
) -> OwnEventPage:
    """A page of the events that concern your account, the newest first."""
    return await audit.own_page(caller.user_id, params)


@router.post(
    "",
    operation_id="create_user",
    response_description="The new user",
    status_code=201,
    response_model=UserSchema,
    dependencies=[LimitedSignUp],
    responses=SIGNED_UP | errors(401, 403, 409, body=True),
    openapi_extra=WITH_OR_WITHOUT_TOKEN,
)
@_sign_up
async def create_user(
    user_in: SignUpOrCreate,
    users: Users,
    caller: Caller,
    key: SignUpKey,
    request: Request,
    response: Response,
) -> Response:
    """Sign up, or, with `users:create`, create a user. Only superusers create superusers.

    If the service requires verified emails, a sign-up is a 202, whether or not the email has an
    account: a mail says how to go on. With an `Idempotency-Key` a repeated request gets the first
    answer again for 24 hours; a caller without a token has to repeat it from the same network.
    """
    result = await users.register(user_in, caller, key)
    return signed_up(result, request.url.path, response.headers)


@router.post(
    "/bulk",
    operation_id="create_users_bulk",
    status_code=201,
    response_model=list[UserSchema],
    dependencies=[LongDeadline],
    responses=BULK_ANSWERS | errors(401, 403, 409, body=True),
)
async def create_users_bulk(
    rows: BulkRows,
    users: Users,
    request: IdempotencyKey,
    caller: Annotated[Principal, Requires(Permission.USERS_CREATE)],
    response: Response,
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a list of users, all or none of them.

    A refusal names every row that stands against it by `index`, `field` and `message`: 422 where
    any is invalid, else 409. With an `Idempotency-Key` a repeated request gets the first answer
    again for 24 hours, and never creates anybody twice.
    """
    result = await users.submit_bulk(rows, request, caller, dry_run=dry_run)
    return bulk_response(result, response.headers)


@router.get(
    "",
    operation_id="list_users",
    response_description="A page of users",
    responses=errors(401, 403),
)
async def list_users(
    filters: Filters,
    params: PaginationParams,
    users: UserLists,
    _: Annotated[Principal, Requires(Permission.USERS_READ)],
) -> UserPage:
    """A page of users by its number, and how many there are."""
    return await users.page(filters, params)


@router.get(
    "/cursor",
    operation_id="list_users_by_cursor",
    response_description="A page of users",
    responses=errors(401, 403),
)
async def list_users_by_cursor(
    filters: Filters,
    params: CursorPaginationParams,
    users: UserLists,
    _: Annotated[Principal, Requires(Permission.USERS_READ)],
) -> UserCursorPage:
    """A page of users behind a cursor, at the same cost however deep it is."""
    return await users.cursor_page(filters, params)


@router.get(
    "/export",
    operation_id="export_users",
    status_code=200,  # FastAPI cannot guess it from a response class of our own
    response_class=ExportResponse,
    responses={**export_of(UserSchema), **errors(401, 403)},
)
async def export_users(
    filters: Filters,
    exports: Exports,
    response: Response,
    _: Annotated[Principal, Requires(Permission.USERS_EXPORT)],
    file_format: FileFormat = "csv",
    *,
    bom: ByteOrderMark = False,
) -> ExportResponse:
    """All users whom the filters leave, as a file."""
    stream = exports.users(filters, file_format, bom=bom)
    return ExportResponse(stream, "users", file_format, response.headers)


@router.get(
    USER_ID,
    operation_id="get_user",
    response_description="The profile",
    responses=WITH_ETAG | errors(401, 403, 404),
)
async def get_user(
    user_id: UserId,
    users: Users,
    caller: Annotated[Principal, Requires(Permission.USERS_READ, of_others=True)],
    response: Response,
) -> UserSchema:
    """A profile: your own, or that of another user."""
    return tagged(await users.get(user_id, caller), response)


@router.patch(
    USER_ID,
    operation_id="update_user",
    response_description="The changed profile",
    responses=WITH_ETAG | errors(401, 403, 404, 409, 412, body=True),
)
async def update_user(
    user_id: UserId,
    user_in: UserUpdate,
    users: Users,
    caller: Annotated[Principal, Requires(Permission.USERS_UPDATE, of_others=True)],
    if_match: IfMatch,
    response: Response,
) -> UserSchema:
    """Change a profile: your own, or that of another user."""
    user = await users.update(user_id, user_in, caller, if_match)
    return tagged(UserSchema.model_validate(user), response)


@router.delete(
    USER_ID,
    operation_id="delete_user",
    response_description="The user is deleted",
    status_code=204,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404, 409, 412),
)
async def delete_user(
    user_id: UserId,
    users: Users,
    caller: Annotated[Principal, Requires(Permission.USERS_DELETE)],
    if_match: IfMatch,
) -> None:
    """Delete a user and end their sessions."""
    await users.delete(user_id, caller, if_match)


@router.get(
    f"{USER_ID}/sessions",
    operation_id="list_user_sessions",
    response_description="A page of sessions",
    responses=errors(401, 403, 404),
)
async def list_user_sessions(
    user_id: UserId,
    params: PaginationParams,
    sessions: Sessions,
    caller: Annotated[Principal, Requires(Permission.SESSIONS_READ)],
) -> SessionPage:
    """A page of a user's sessions, the one used last first."""
    return await sessions.of_user_or_raise(user_id, caller.session_id, params)


@router.delete(
    f"{USER_ID}/sessions",
    operation_id="end_user_sessions",
    response_description="All of the user's sessions have ended",
    status_code=204,
    responses=errors(401, 403, 404),
)
async def end_user_sessions(
    user_id: UserId,
    sessions: Sessions,
    caller: Annotated[Principal, Requires(Permission.SESSIONS_END)],
) -> None:
    """End all sessions of a user."""
    await sessions.end_all_or_raise(user_id, caller)


@router.delete(
    f"{USER_ID}/sessions/{{session_id}}",
    operation_id="end_user_session",
    response_description="The session has ended",
    status_code=204,
    responses=errors(401, 403, 404),
)
async def end_user_session(
    user_id: UserId,
    session_id: SessionId,
    sessions: Sessions,
    caller: Annotated[Principal, Requires(Permission.SESSIONS_END)],
) -> None:
    """End one session of a user."""
    await sessions.end_of_user_or_raise(session_id, user_id, caller)
