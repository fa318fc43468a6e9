"""The login page, and every refusal as a page."""

import secrets
from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.admin import cookies
from app.admin.addresses import place_of, way_back
from app.admin.deps import LoginRequiredException
from app.admin.page import notice_in
from app.admin.rendering import BASE, render
from app.api.runtime import runtime_of
from app.core.errors import error_body, error_headers
from app.core.exceptions import AppException

LOGIN = f"{BASE}/login"
_STATS = f"{BASE}/stats"


def enter(request: Request, response: Response, token: str, place: str) -> RedirectResponse:
    """Send the browser in, with the cookie of its session.

    Args:
        request: the login.
        response: has the headers that dependencies have set.
        token: what the session's cookie holds.
        place: where it wanted to go.
    """
    answer = RedirectResponse(way_back(place), 303, response.headers)
    cookies.write(answer, request, "session", token)
    cookies.forget(answer, request, "form")
    return answer


def _wants_page(request: Request) -> bool:
    """Whether an error should be a page: below the page's path, unless JSON is asked for."""
    path: str = request.scope["path"]
    if path != BASE and not path.startswith(f"{BASE}/"):
        return False
    return path != _STATS and "application/json" not in request.headers.get("Accept", "")


def error_page(request: Request, error: AppException) -> Response | None:
    """An error as a page; None for a client of the API, who gets JSON."""
    if not _wants_page(request):
        return None
    status, told, headers = error.status, error_body(error), error_headers(error)
    headers.pop("WWW-Authenticate", None)  # a browser would ask for it in a window of its own
    if isinstance(error, LoginRequiredException):
        return _login_required(request, error.message, headers)
    if request.scope["path"] == LOGIN and status in {401, 403, 422, 429}:
        return login_page(request, status, headers, error.message)
    if status in {409, 422} and (again := getattr(request.state, "again", None)):
        view: Response = again(status, headers, error=told)
        return view
    return render(request, "error.html", status, headers, error={**told, "status": status})


def _login_required(request: Request, message: str, headers: Mapping[str, str]) -> Response:
    """The login page in place of a view, whose address leads back to it."""
    if "HX-Request" in request.headers:  # a part of a view: its whole page is loaded anew
        return Response(headers={**headers, "HX-Refresh": "true"})
    had_session = cookies.read(request, "session") is not None
    is_view = request.method == "GET"
    # A view without a session is a question like any other; a form without one is refused.
    answer = login_page(request, 200 if is_view else 401, headers, message if had_session else None)
    cookies.forget(answer, request, "session")
    return answer


def login_page(
    request: Request, status: int, headers: Mapping[str, str], message: str | None
) -> Response:
    """Args: message: why it is shown, where there is more to say than that nobody is logged in."""
    sent = getattr(request.state, "login", None)
    stranger = cookies.read(request, "form") or secrets.token_urlsafe(16)
    answer = render(
        request,
        "login.html",
        status,
        headers,
        message=message,
        notice=notice_in(request),
        csrf=runtime_of(request).forms.token(stranger),
        username=sent.username if sent else "",
        next=way_back(sent.next if sent else place_of(request)),
        is_from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site",
    )
    cookies.write(answer, request, "form", stranger)
    cookies.forget(answer, request, "notice")
    return answer
