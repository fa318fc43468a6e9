"""Exception handler of the admin pages: errors as HTML for browsers, as JSON for other clients."""

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.admin import cookies
from app.admin.deps.pages import ImpersonationOverException, LoginRequiredException
from app.admin.errors.page import plain_page
from app.admin.errors.wording import in_words
from app.admin.live.stream import wants_stream
from app.admin.login_page import (
    confirmation_url,
    is_account_page,
    login_page,
)
from app.admin.page import InvalidFormException, as_oneself
from app.admin.rendering import ACCOUNT, BASE, words_of
from app.admin.typed import sealed
from app.core.errors import error_body, error_headers, json_response, log_failure
from app.core.exceptions import (
    AppException,
    ConfirmationRequiredException,
    MfaEnrolmentRequiredException,
)

log = structlog.get_logger("app.errors")

_STATS = f"{BASE}/stats"
_SHOWN_AGAIN = frozenset({401, 403, 408, 409, 422, 429, 500, 503, 504})
"""Statuses at which a form for anonymous users comes back, with what was typed into it."""


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
    if wants_stream(request):  # it can show none; the page asks for the part by a request
        return Response(status_code=204)
    status, headers = error.status, error_headers(error)
    headers.pop("WWW-Authenticate", None)  # a browser would ask for it in a window of its own
    words = words_of(request)
    body = in_words(status, error_body(error), headers, words)
    if isinstance(error, LoginRequiredException):
        return _login_required(request, body["message"], headers)
    if isinstance(error, ImpersonationOverException):
        return _as_oneself(request, error.message, headers)
    if isinstance(error, MfaEnrolmentRequiredException):
        return _redirect(request, f"{ACCOUNT}/security", headers)
    if isinstance(error, ConfirmationRequiredException):
        return _redirect(request, confirmation_url(request), headers)
    if isinstance(error, InvalidFormException):
        return error.render(status, headers, error=body)
    redisplay = getattr(request.state, "redisplay", None)
    if redisplay is not None and status in _SHOWN_AGAIN:
        answer: Response = redisplay(status, headers, error=body)
        return answer
    return plain_page(request, error, body, headers)


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
        request,
        status,
        headers,
        error={"message": message} if had_session else None,
        typed=sealed(request),
    )
    cookies.delete(answer, request, "session")
    return answer
