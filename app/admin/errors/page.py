"""The page that says what is wrong and what to do, in the frame of who is logged in."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastapi import Request, Response

from app.admin import cookies
from app.admin.csrf import FormRefusedException
from app.admin.deps.pages import RoleRequiredException
from app.admin.errors.wording import ADVICE
from app.admin.formats import Formats
from app.admin.login_page import is_account_page, requested_url, safe_next
from app.admin.page import AdminPage
from app.admin.rendering import ACCOUNT, BASE, is_panel, render, words_of
from app.admin.typed import typed_in
from app.api.runtime import runtime_of
from app.core.exceptions import AppException, ImpersonationException
from app.core.permissions import Permission
from app.schemas.access.session import Principal

_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 503, 504})


def plain_page(
    request: Request, error: AppException, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    """
    Args:
        request: what is answered.
        error: what is wrong.
        body: of the answer in JSON, in plain words.
        headers: of the answer.
    """
    principal = _seen(request)
    show: Callable[..., Response] = partial(render, request)
    if principal is not None:
        show = AdminPage(request, Response(), principal).render
    asked, is_get = safe_next(requested_url(request)), request.method == "GET"
    is_worth_it = error.status in _WORTH_ANOTHER_TRY
    return show(
        "error.html",
        error.status,
        headers,
        layout=_layout(request, principal),
        is_framed=principal is not None,
        is_recorded=principal is not None and principal.may(Permission.REQUESTS_READ),
        error={**body, "status": error.status},
        advice=_advice(request, error),
        again=asked if is_get and is_worth_it else None,
        leads_to=_home(request, error) if is_get or asked == BASE else asked,
        typed=typed_in(request) if is_worth_it or isinstance(error, FormRefusedException) else None,
        is_shown_first=not is_worth_it,
        resend_token=_token(request, principal),
    )


def _layout(request: Request, principal: Principal | None) -> str:
    if is_panel(request):
        return "panel.html"
    return "standalone.html" if principal is None else "page.html"


def _home(request: Request, error: AppException) -> str:
    is_own = isinstance(error, RoleRequiredException) or is_account_page(request.scope["path"])
    return ACCOUNT if is_own else BASE


def _seen(request: Request) -> Principal | None:
    """Who is logged in, as far as it is known without a look at the database."""
    known: Principal | None = getattr(request.state, "frame", None)
    if cookies.read(request, "impersonation") is not None:  # who is not the one of the session
        return known
    if known is None and (token := cookies.read(request, "session")) is not None:
        return runtime_of(request).page_sessions.seen(token)
    return known


def _token(request: Request, principal: Principal | None) -> str:
    """The token of a form that is sent again: while nobody is known to be logged in, its own."""
    if principal is not None:
        return runtime_of(request).forms.token(str(principal.session_id))
    typed = typed_in(request)
    return typed.token if typed else ""


def _advice(request: Request, error: AppException) -> str | None:
    if error.status == 413:
        limit = runtime_of(request).settings.server.max_body_bytes
        most = Formats(words_of(request)).filesizeformat(limit, binary=True)
        return words_of(request).gettext("At most %(size)s can be sent at once.") % {"size": most}
    if isinstance(error, ImpersonationException):
        return words_of(request).gettext("End it to go on as yourself.")
    return words_of(request).translated(ADVICE.get(error.status, "")) or None
