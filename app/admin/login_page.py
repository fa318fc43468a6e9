"""The login page: its form, the redirect after a login, and safe return URLs."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, Json

from app.admin import cookies
from app.admin.forms.public import render_public_form
from app.admin.page import redisplay_on_error
from app.admin.rendering import ACCOUNT, BASE, render
from app.admin.typed import MAX_SEALED, resumed
from app.api.runtime import runtime_of
from app.core.exceptions import (
    ForbiddenException,
    TooManyRequestsException,
    UnauthorizedException,
    WrongCodeException,
)
from app.schemas.access.passkey import SignInCredential
from app.schemas.base import Secret, Text
from app.services.auth.issuing import PageLogin

LOGIN = f"{BASE}/login"
ACCOUNT_LOGIN = f"{ACCOUNT}/login"
SECOND_STEP = f"{LOGIN}/mfa"
BY_PASSKEY = f"{LOGIN}/passkey"


class LoginFields(BaseModel):
    """Fields of every form of a login.

    Attributes:
        next: URL to go to after the login.
        typed: see `app.admin.typed`.
    """

    next: Text = ""
    typed: str = Field("", max_length=MAX_SEALED)

    @property
    def needs_role(self) -> bool:
        return not is_account_page(safe_next(self.next))


class LoginForm(LoginFields):
    """The form as it is sent. Any password is accepted and simply wrong."""

    username: Text = Field(max_length=254)
    password: Secret


class SecondStepForm(LoginFields):
    """The form of a login's second step, as it is sent."""

    mfa_token: Secret
    code: Secret = Field(max_length=64)


class PasskeyLoginForm(LoginFields):
    """The form that a script fills by a passkey, as it is sent."""

    credential: Json[SignInCredential]


def login_page(
    request: Request,
    status: int,
    headers: Mapping[str, str],
    *,
    error: Mapping[str, Any] | None = None,
    username: str = "",
    next_url: str | None = None,
    typed: str = "",
) -> Response:
    """The login page.

    Args:
        request: what is answered.
        status: of the answer.
        headers: of the answer.
        error: its `message` says why the page is shown, unless no login was tried yet.
        username: as it was typed, to be filled in again.
        next_url: where to go after the login; default: what was asked for.
        typed: what comes back after the login; see `app.admin.typed`.
    """
    place = safe_next(requested_url(request) if next_url is None else next_url)
    return render_public_form(
        request,
        "login.html",
        status,
        headers,
        message=error["message"] if error else None,
        username=username,
        next=place,
        typed=typed,
        is_for_account=is_account_page(place),
        is_from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site",
    )


def redisplay_login_on_error(request: Request, form: LoginForm) -> AbstractContextManager[None]:
    """Show the login page again, with the username, where the login is refused."""
    return redisplay_on_error(
        partial(login_page, request, username=form.username, next_url=form.next, typed=form.typed),
        UnauthorizedException,
        ForbiddenException,
        TooManyRequestsException,
    )


def second_step_page(
    request: Request,
    status: int,
    headers: Mapping[str, str],
    *,
    mfa_token: str,
    next_url: str,
    typed: str,
    error: Mapping[str, Any] | None = None,
) -> Response:
    """The page that asks for a second factor; for the arguments see `login_page`."""
    browser_id = cookies.read(request, "form") or ""
    return render(
        request,
        "login_second_step.html",
        status,
        headers,
        message=error["message"] if error else None,
        csrf=runtime_of(request).forms.token(browser_id),
        mfa_token=mfa_token,
        next=safe_next(next_url),
        typed=typed,
    )


def redisplay_second_step_on_error(
    request: Request, form: SecondStepForm
) -> AbstractContextManager[None]:
    """Ask again where the code is wrong."""
    page = partial(
        second_step_page,
        request,
        mfa_token=form.mfa_token.get_secret_value(),
        next_url=form.next,
        typed=form.typed,
    )
    return redisplay_on_error(page, WrongCodeException)


def logged_in(
    request: Request, response: Response, login: PageLogin, form: LoginFields
) -> Response:
    """Redirect after a login, with the cookies of the new session and of a known device; or lead
    back to the form in whose place the login was.

    Args:
        request: the login.
        response: has the headers that dependencies have set.
        login: the tokens for both.
        form: of the login: where to go.
    """
    answer = resumed(request, response, login.token, form.typed)
    if answer is None:
        answer = RedirectResponse(safe_next(form.next), 303, response.headers)
    cookies.write(answer, request, "session", login.token)
    cookies.write_device(answer, request, login.device_token)
    cookies.delete(answer, request, "impersonation")
    cookies.delete(answer, request, "form")
    return answer


def safe_next(url: str | None) -> str:
    """Path and query of `url` if it is one of the pages, else the overview: no open redirect."""
    parts = _split(url or "")
    if not is_account_page(parts.path):
        return safe_view(url)
    return ACCOUNT if parts.path.startswith(ACCOUNT_LOGIN) else _path_and_query(parts)


def safe_view(url: str | None) -> str:
    """The same for the admin pages alone."""
    parts = _split(url or "")
    is_admin_page = parts.path == BASE or parts.path.startswith(f"{BASE}/")
    is_view = is_admin_page and not parts.path.startswith((LOGIN, f"{BASE}/logout"))
    return _path_and_query(parts) if is_view else BASE


def is_account_page(url: str) -> bool:
    """Whether a path, with or without a query, is of one's own account: no role is needed."""
    path = url.partition("?")[0]
    return path == ACCOUNT or path.startswith(f"{ACCOUNT}/")


def confirmation_url(request: Request) -> str:
    """URL of the page that asks for a confirmation, and returns to what was asked for."""
    return f"{ACCOUNT}/confirm?{urlencode({'next': safe_next(requested_url(request))})}"


def requested_url(request: Request) -> str:
    """The URL that was asked for, or for a form, the one that it was on."""
    if request.method == "GET":
        return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    referer = _split(request.headers.get("Referer", ""))
    return f"{referer.path}?{referer.query}"


def _path_and_query(parts: SplitResult) -> str:
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _split(url: str) -> SplitResult:
    """The parts of `url`; empty ones where it is malformed, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")
