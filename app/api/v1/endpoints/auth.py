"""Endpoints for login, logout, passwords and sessions."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordRequestForm

from app.api.deps.auth import CurrentUser
from app.api.deps.request import ClientDevice
from app.api.deps.services import Auth, Sessions
from app.api.limits import (
    Limited,
    LimitedUser,
    by_email,
    by_principal,
    by_refreshed_session,
    by_username,
)
from app.api.oauth import TokenRoute
from app.api.responses import TOKEN_ERRORS, errors
from app.api.routing import Router
from app.api.types import PaginationParams, SessionId
from app.core.limiter import by_address, limiter, rate
from app.schemas.auth import LoginRequest, PasswordChange, RefreshRequest, TokenSchema
from app.schemas.session import SessionPage

router = Router(
    prefix="/auth", tag="auth", description="Logging in and out; sessions that can be revoked."
)


_login = limiter.shared_limit(rate("login"), scope="login", key_func=by_email)
_login_form = limiter.shared_limit(rate("login"), scope="login", key_func=by_username)
_login_address = limiter.shared_limit(
    rate("login_address"), scope="login-address", key_func=by_address
)


@router.post(
    "/login",
    operation_id="login",
    response_description="Tokens of a new session",
    dependencies=[Limited],
    responses=errors(401, body=True),
)
@_login
@_login_address
async def login(credentials: LoginRequest, auth: Auth, device: ClientDevice) -> TokenSchema:
    """Log in with email and password."""
    password = credentials.password.get_secret_value()
    return TokenSchema.model_validate(await auth.login(credentials.email, password, device))


@_login_form
@_login_address
async def login_form(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: Auth, device: ClientDevice
) -> TokenSchema:
    """Log in with the OAuth2 password form, by username or email."""
    return TokenSchema.model_validate(await auth.login(form.username, form.password, device))


router.add_api_route(
    "/token",
    login_form,
    methods=["POST"],
    operation_id="login_form",
    response_description="Tokens of a new session",
    dependencies=[Limited],
    responses=TOKEN_ERRORS,
    route_class_override=TokenRoute,
)


@router.post(
    "/refresh",
    operation_id="refresh",
    response_description="A new pair of tokens",
    dependencies=[Limited],
    responses=errors(401, body=True),
)
@limiter.limit(rate("refresh"), key_func=by_refreshed_session)
@limiter.shared_limit(rate("refresh_address"), scope="refresh-address", key_func=by_address)
async def refresh(request: RefreshRequest, auth: Auth) -> TokenSchema:
    """Exchange a refresh token for a new pair; reuse of an older token ends the session.

    The last used token may be repeated, by a second tab or after a lost response, until the token
    that replaced it is used. A repeat gives a new pair and invalidates the one before.
    """
    return TokenSchema.model_validate(await auth.refresh(request.refresh_token.get_secret_value()))


@router.post(
    "/logout",
    operation_id="logout",
    response_description="The session has ended",
    status_code=204,
    responses=errors(401),
)
async def logout(caller: CurrentUser, sessions: Sessions) -> None:
    """End this session; effective on the next request."""
    await sessions.end(caller.session_id, caller.user_id)


@router.post(
    "/logout-all",
    operation_id="logout_all",
    response_description="All sessions have ended",
    status_code=204,
    responses=errors(401),
)
async def logout_all(caller: CurrentUser, sessions: Sessions) -> None:
    """End all of your sessions, including this one."""
    await sessions.end_all(caller.user_id)


@router.post(
    "/password",
    operation_id="change_password",
    response_description="The password is changed",
    status_code=204,
    dependencies=[LimitedUser],
    responses=errors(401, body=True),
)
@limiter.shared_limit(rate("login"), scope="change-password", key_func=by_principal)
async def change_password(change: PasswordChange, caller: CurrentUser, auth: Auth) -> None:
    """Change your password, and end your other sessions."""
    await auth.change_password(
        caller, change.current_password.get_secret_value(), change.new_password.get_secret_value()
    )


@router.get(
    "/sessions",
    operation_id="list_sessions",
    response_description="A page of sessions",
    responses=errors(401),
)
async def list_sessions(
    params: PaginationParams, caller: CurrentUser, sessions: Sessions
) -> SessionPage:
    """A page of your sessions, the most recently used first."""
    return await sessions.of(caller.user_id, caller.session_id, params)


@router.delete(
    "/sessions/{session_id}",
    operation_id="end_session",
    response_description="The session has ended",
    status_code=204,
    responses=errors(401, 404),
)
async def end_session(session_id: SessionId, caller: CurrentUser, sessions: Sessions) -> None:
    """End one of your sessions."""
    await sessions.end_or_raise(session_id, caller.user_id)
