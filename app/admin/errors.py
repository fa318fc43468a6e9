"""Exception handler of the admin pages: errors as HTML for browsers, as JSON for other clients."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from jinja2.filters import do_filesizeformat

from app.admin import cookies
from app.admin.deps import (
    ImpersonationOverException,
    LoginRequiredException,
    RoleRequiredException,
)
from app.admin.login_page import (
    confirmation_url,
    is_account_page,
    login_page,
    requested_url,
    safe_next,
)
from app.admin.page import AdminPage, InvalidFormException, as_oneself
from app.admin.rendering import ACCOUNT, BASE, render
from app.admin.wording import ADVICE, in_words
from app.api.runtime import runtime_of
from app.core.errors import error_body, error_headers, json_response, log_failure
from app.core.exceptions import (
    AppException,
    ConfirmationRequiredException,
    ImpersonationException,
    MfaEnrolmentRequiredException,
)
from app.schemas.access.session import Principal

log = structlog.get_logger("app.errors")

_STATS = f"{BASE}/stats"
_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 503, 504})


async def handle_admin_exception(request: Request, error: Exception) -> Response:
    """In place of the core's handler: errors below the pages' path become pages.

    A page that cannot be rendered is logged, and the browser gets JSON: whatever a client sends,
    its error is answered.
    """
    assert isinstance(error, AppException)  # noqa: S101  # by registration; tells mypy
    log_failure(error)
    if _wants_page(request):
        try:
            return error_page(request, error)
        except Exception:
            log.exception("error_page_failed")
    return json_response(error)


def _wants_page(request: Request) -> bool:
    """Whether an error should be a page: below the pages' path, unless JSON is asked for."""
    path: str = request.scope["path"]
    is_admin_page = (path == BASE or path.startswith(f"{BASE}/")) and path != _STATS
    accepts_json = "application/json" in request.headers.get("Accept", "")
    return (is_admin_page or is_account_page(path)) and not accepts_json


def error_page(request: Request, error: AppException) -> Response:
    """The login page, the form that was refused, or a page that says what is wrong."""
    status, headers = error.status, error_headers(error)
    headers.pop("WWW-Authenticate", None)  # a browser would ask for it in a window of its own
    body = in_words(status, error_body(error), headers)
    if isinstance(error, LoginRequiredException):
        return _login_required(request, error.message, headers)
    if isinstance(error, ImpersonationOverException):
        return _as_oneself(request, error.message, headers)
    if isinstance(error, MfaEnrolmentRequiredException):
        return _redirect(request, f"{ACCOUNT}/security", headers)
    if isinstance(error, ConfirmationRequiredException):
        return _redirect(request, confirmation_url(request), headers)
    if isinstance(error, InvalidFormException):
        return error.render(status, headers, error=body)
    redisplay = getattr(request.state, "redisplay", None)
    if redisplay is not None and status in {401, 403, 409, 422, 429, 503}:
        answer: Response = redisplay(status, headers, error=body)
        return answer
    return _plain_page(request, error, body, headers)


def _plain_page(
    request: Request, error: AppException, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    """A page that says what is wrong and what to do, in the frame of who is logged in."""
    principal, path = _seen(request), request.scope["path"]
    show: Callable[..., Response] = partial(render, request)
    if principal is not None:
        show = AdminPage(request, Response(), principal).render
    is_own = isinstance(error, RoleRequiredException) or is_account_page(path)
    home = ACCOUNT if is_own else BASE
    asked = safe_next(requested_url(request))
    is_get = request.method == "GET"
    return show(
        "error.html",
        error.status,
        headers,
        layout="standalone.html" if principal is None else "page.html",
        is_framed=principal is not None,
        error={**body, "status": error.status},
        advice=_advice(request, error),
        again=asked if is_get and error.status in _WORTH_ANOTHER_TRY else None,
        leads_to=home if is_get or asked == BASE else asked,
    )


def _seen(request: Request) -> Principal | None:
    """Who is logged in, as far as it is known without a look at the database."""
    known: Principal | None = getattr(request.state, "frame", None)
    if cookies.read(request, "impersonation") is not None:  # who is not the one of the session
        return known
    if known is None and (token := cookies.read(request, "session")) is not None:
        return runtime_of(request).page_sessions.seen(token)
    return known


def _advice(request: Request, error: AppException) -> str | None:
    if error.status == 413:
        most = do_filesizeformat(runtime_of(request).settings.server.max_body_bytes, binary=True)
        return f"At most {most} can be sent at once."
    if isinstance(error, ImpersonationException):
        return "End it to go on as yourself."
    return ADVICE.get(error.status)


def _redirect(request: Request, url: str, headers: dict[str, str]) -> Response:
    """Redirect to a view that has to come first; where a script asked, of the whole page."""
    if "HX-Request" in request.headers:
        return Response(headers={**headers, "HX-Redirect": url})
    return RedirectResponse(url, 303, headers)


def _as_oneself(request: Request, message: str, headers: dict[str, str]) -> Response:
    answer: Response = as_oneself(request, BASE, headers, message)
    if "HX-Request" in request.headers:
        answer.status_code, answer.headers["HX-Redirect"] = 200, BASE
    return answer


def _login_required(request: Request, message: str, headers: dict[str, str]) -> Response:
    """The login page in place of a view, whose URL it returns to."""
    if "HX-Request" in request.headers:  # a part of a view: its whole page is loaded anew
        return Response(headers={**headers, "HX-Refresh": "true"})
    # A view without a session is a question like any other; a form without one is refused.
    status = 200 if request.method == "GET" else 401
    had_session = cookies.read(request, "session") is not None
    answer = login_page(
        request, status, headers, error={"message": message} if had_session else None
    )
    cookies.delete(answer, request, "session")
    return answer
