"""Endpoints for login, logout, passwords and sessions."""

from typing import Annotated

from fastapi import Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from app.api.deps.auth import CurrentUser, EnrollingUser, LeavingUser
from app.api.deps.request import ClientDevice, send_device_token
from app.api.deps.services import Auth, Confirmations, SecondStep, Sessions
from app.api.limits import (
    Limited,
    LimitedEnrollingUser,
    by_mfa_token,
    by_principal_with_code,
    by_refreshed_session,
)
from app.api.oauth import TokenRoute
from app.api.responses import CHANGED_WITH_DEVICE_TOKEN, TOKEN_ERRORS, WITH_DEVICE_TOKEN, errors
from app.api.routing import Router
from app.api.types import PaginationParams, SessionId
from app.core.limiter import by_address, limiter, rate
from app.schemas.access.auth import (
    LoginRequest,
    LoginResult,
    PasswordChange,
    RefreshRequest,
    TokenSchema,
    login_result,
)
from app.schemas.access.mfa import Confirmation, ConfirmedSchema, MfaLogin
from app.schemas.access.session import SessionPage

router = Router(
    prefix="/auth", tag="auth", description="Logging in and out; sessions that can be revoked."
)


_login_address = limiter.shared_limit(
    rate("login_address"), scope="login-address", key_func=by_address
)
_second_step = limiter.shared_limit(
    rate("second_factor"), scope="second-factor", key_func=by_mfa_token
)
_code = limiter.shared_limit(
    rate("second_factor"), scope="second-factor", key_func=by_principal_with_code
)


@router.post(
    "/login",
    operation_id="login",
    response_description="Tokens of a new session, or what the second step needs",
    dependencies=[Limited],
    responses={**WITH_DEVICE_TOKEN, **errors(401, 403, body=True)},
)
@_login_address
async def login(
    credentials: LoginRequest, auth: Auth, device: ClientDevice, response: Response
) -> LoginResult:
    """Log in with email and password; users with a second factor complete it at `/auth/mfa`.

    If the service requires verified emails, the login of a user without one is a 403 with the error
    `email_unverified`, and the link is mailed again.
    """
    password = credentials.password.get_secret_value()
    begun = await auth.login(credentials.email, password, device)
    send_device_token(response, begun.device_token)
    return login_result(begun)


@router.post(
    "/mfa",
    operation_id="login_mfa",
    response_description="Tokens of a new session",
    dependencies=[Limited],
    responses={**WITH_DEVICE_TOKEN, **errors(401, body=True)},
)
@_second_step
@_login_address
async def login_mfa(
    login: MfaLogin, second_step: SecondStep, device: ClientDevice, response: Response
) -> TokenSchema:
    """Complete a login by a code of the authenticator app, or a recovery code.

    The client has to send the same `User-Agent` as in the first step.
    """
    token, code = login.mfa_token.get_secret_value(), login.code.get_secret_value()
    tokens = await second_step.log_in(token, code, device)
    send_device_token(response, tokens.device_token)
    return TokenSchema.model_validate(tokens)


@_login_address
async def login_form(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    auth: Auth,
    device: ClientDevice,
    response: Response,
) -> TokenSchema:
    """Log in with the OAuth2 password form, by username or email.

    Where the user has a second factor, the error `mfa_required` has the `mfa_token`.
    """
    tokens = await auth.login_in_one_step(form.username, form.password, device)
    send_device_token(response, tokens.device_token)
    return TokenSchema.model_validate(tokens)


router.add_api_route(
    "/token",
    login_form,
    methods=["POST"],
    operation_id="login_form",
    response_description="Tokens of a new session",
    dependencies=[Limited],
    responses={**WITH_DEVICE_TOKEN, **TOKEN_ERRORS},
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
    responses=errors(401, 403),
)
async def logout(caller: LeavingUser, sessions: Sessions) -> None:
    """End this session, also an impersonation; effective on the next request."""
    await sessions.end(caller.session_id, caller.user_id)


@router.post(
    "/logout-all",
    operation_id="logout_all",
    response_description="All sessions have ended",
    status_code=204,
    responses=errors(401, 403),
)
async def logout_all(caller: EnrollingUser, sessions: Sessions) -> None:
    """End all of your sessions, including this one."""
    await sessions.end_all(caller.user_id)


@router.post(
    "/password",
    operation_id="change_password",
    response_description="The password is changed",
    status_code=204,
    responses={**CHANGED_WITH_DEVICE_TOKEN, **errors(401, 403, body=True)},
)
async def change_password(
    change: PasswordChange,
    caller: CurrentUser,
    auth: Auth,
    device: ClientDevice,
    response: Response,
) -> None:
    """Change your password, and end your other sessions. Device tokens become void, but for the
    new one in the response."""
    current, new = change.current_password, change.new_password
    token = await auth.change_password(
        caller, current.get_secret_value(), new.get_secret_value(), device
    )
    send_device_token(response, token)


@router.post(
    "/confirmation",
    operation_id="confirm",
    response_description="Until when grave actions are allowed in this session",
    dependencies=[LimitedEnrollingUser],
    responses=errors(401, 403, body=True),
)
@_code
async def confirm(
    proof: Confirmation, caller: EnrollingUser, confirmations: Confirmations, device: ClientDevice
) -> ConfirmedSchema:
    """Confirm that it is you, by password or code, for grave actions within ten minutes."""
    return ConfirmedSchema(confirmed_until=await confirmations.confirm(caller, proof, device))


@router.get(
    "/sessions",
    operation_id="list_sessions",
    response_description="A page of sessions",
    responses=errors(401, 403),
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
    responses=errors(401, 403, 404),
)
async def end_session(session_id: SessionId, caller: CurrentUser, sessions: Sessions) -> None:
    """End one of your sessions."""
    await sessions.end_or_raise(session_id, caller.user_id)
