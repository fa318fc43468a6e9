"""The login page, and every refusal as a page."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.api.pages import cookies
from app.api.pages.page import notice_in, way_back
from app.api.pages.rendering import BASE, render
from app.api.runtime import runtime_of

LOGIN = f"{BASE}/login"
_STATS = f"{BASE}/stats"
_NOT_OURS = ("content-length", "content-type", "content-security-policy", "www-authenticate")


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


def wants_page(request: Request) -> bool:
    """Whether a refusal should be a page: below the page's path, unless JSON is asked for."""
    path: str = request.scope["path"]
    if path != BASE and not path.startswith(f"{BASE}/"):
        return False
    return path != _STATS and "application/json" not in request.headers.get("Accept", "")


def refusal(
    request: Request, status: int, error: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    """A refusal as a page.

    Args:
        request: that is refused.
        status: of the answer.
        error: in the API's shape.
        headers: of the answer that this stands for.
    """
    kept = {name: value for name, value in headers.items() if name not in _NOT_OURS}
    if error["error"] == "login_required":
        return _login_required(request, error["message"], kept)
    if request.url.path == LOGIN and status in {401, 403, 422, 429}:
        return login_page(request, status, kept, error["message"])
    if status in {409, 422} and (again := getattr(request.state, "again", None)):
        view: Response = again(status, kept, error=error)
        return view
    return render(request, "error.html", status, kept, error={**error, "status": status})


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
        next=way_back(sent.next if sent else _place(request)),
        is_from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site",
    )
    cookies.write(answer, request, "form", stranger)
    cookies.forget(answer, request, "notice")
    return answer


def _place(request: Request) -> str:
    """Where the browser wants to go, or for a form, where it was."""
    if request.method == "GET":
        return f"{request.url.path}?{request.url.query}"
    referer = urlsplit(request.headers.get("Referer", ""))
    return f"{referer.path}?{referer.query}"
