"""Pages with a form for anonymous users: the login, and what links in mails lead to."""

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from app.admin import cookies
from app.admin.page import delete_notice, notice_in
from app.admin.rendering import render
from app.api.runtime import runtime_of


def render_public_form(
    request: Request, template: str, status: int, headers: Mapping[str, str], **context: Any
) -> Response:
    """A page whose template has `notice`, and `csrf` for its form: the token belongs to a cookie
    with a random value, which this response sets."""
    browser_id = cookies.read(request, "form") or secrets.token_urlsafe(16)
    answer = render(
        request,
        template,
        status,
        headers,
        notice=notice_in(request),
        csrf=runtime_of(request).forms.token(browser_id),
        **context,
    )
    cookies.write(answer, request, "form", browser_id)
    delete_notice(answer, request)
    return answer
