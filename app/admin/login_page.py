"""The login page: its form, the redirect after a login, and safe return URLs."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from app.admin import cookies
from app.admin.page import notice_in, redisplay_on_error
from app.admin.rendering import BASE, render
from app.api.runtime import runtime_of
from app.core.exceptions import (
    ForbiddenException,
    TooManyRequestsException,
    UnauthorizedException,
    WrongCodeException,
)
from app.schemas.base import Secret, Text

LOGIN = f"{BASE}/login"
SECOND_STEP = f"{LOGIN}/mfa"


class LoginForm(BaseModel):
    """The form as it is sent. Any password is accepted and simply wrong.

    Attributes:
        next: URL to go to after the login.
    """

    username: Text = Field(max_length=254)
    password: Secret
    next: Text = ""


class SecondStepForm(BaseModel):
    """The form of a login's second step, as it is sent."""

    mfa_token: Secret
    code: Secret = Field(max_length=64)
    next: Text = ""


def login_page(
    request: Request,
    status: int,
    headers: Mapping[str, str],
    *,
    error: Mapping[str, Any] | None = None,
    form: LoginForm | None = None,
) -> Response:
    """The login page.

    Args:
        request: what is answered.
        status: of the answer.
        headers: of the answer.
        error: its `message` says why the page is shown, unless no login was tried yet.
        form: what was sent, to be filled in again.
    """
    browser_id = cookies.read(request, "form") or secrets.token_urlsafe(16)
    answer = render(
        request,
        "login.html",
        status,
        headers,
        message=error["message"] if error else None,
        notice=notice_in(request),
        csrf=runtime_of(request).forms.token(browser_id),
        username=form.username if form else "",
        next=safe_next(form.next if form else _requested_url(request)),
        is_from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site",
    )
    cookies.write(answer, request, "form", browser_id)
    cookies.delete(answer, request, "notice")
    return answer


def redisplay_login_on_error(request: Request, form: LoginForm) -> AbstractContextManager[None]:
    """Show the login page again, with the username, where the login is refused."""
    return redisplay_on_error(
        partial(login_page, request, form=form),
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
    )
    return redisplay_on_error(page, WrongCodeException)


def logged_in(request: Request, response: Response, token: str, next_url: str) -> RedirectResponse:
    """Redirect after a login, with the cookie of the new session.

    Args:
        request: the login.
        response: has the headers that dependencies have set.
        token: value of the session's cookie.
        next_url: where to go; see `safe_next`.
    """
    answer = RedirectResponse(safe_next(next_url), 303, response.headers)
    cookies.write(answer, request, "session", token)
    cookies.delete(answer, request, "form")
    return answer


def safe_next(url: str | None) -> str:
    """Path and query of `url` if it is one of the pages, else the overview: no open redirect."""
    parts = _split(url or "")
    is_ours = parts.path == BASE or parts.path.startswith(f"{BASE}/")
    is_view = is_ours and not parts.path.startswith((LOGIN, f"{BASE}/logout"))
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.path}{query}" if is_view else BASE


def _requested_url(request: Request) -> str:
    """The URL that was asked for, or for a form, the one that it was on."""
    if request.method == "GET":
        return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    referer = _split(request.headers.get("Referer", ""))
    return f"{referer.path}?{referer.query}"


def _split(url: str) -> SplitResult:
    """The parts of `url`; empty ones where it is malformed, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")
