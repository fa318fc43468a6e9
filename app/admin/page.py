"""One visit: who looks, what they are shown, and where they are sent."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.admin import cookies
from app.admin.rendering import BASE, render
from app.api.runtime import runtime_of
from app.schemas.session import Principal

NOTICE_TTL = 60
"""Seconds for which a notice waits for the page that shows it."""


class Notice(NamedTuple):
    """What came of a form, told on the page after it."""

    text: str
    kind: Literal["success", "error"] = "success"


class Page:
    """What endpoints of the admin page answer with.

    Args:
        request: what is answered.
        response: has the headers that dependencies have set.
        visitor: the superuser who looks.
    """

    def __init__(self, request: Request, response: Response, visitor: Principal) -> None:
        self.visitor = visitor
        self._request = request
        self._headers = response.headers
        self._forms = runtime_of(request).forms

    def render(
        self,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """A view. It is told the `visitor`, the `notice` and the `csrf` token for its forms."""
        answer = render(
            self._request,
            template,
            status,
            {**self._headers, **(headers or {})},
            visitor=self.visitor.user,
            notice=notice_in(self._request),
            csrf=self._forms.token(str(self.visitor.session_id)),
            **context,
        )
        cookies.forget(answer, self._request, "notice")
        return answer

    def show_again(self, template: str, **context: Any) -> None:
        """Where what was sent is refused (409, 422), answer with this view, which is told the
        refusal as `error`."""
        self._request.state.again = partial(self.render, template, **context)

    def redirect(self, to: str, notice: Notice | None = None) -> RedirectResponse:
        """Send the browser on after a form (303), where it is told what came of it.

        Args:
            to: a path below the page's own, such as `/users?page=2`.
            notice: left out, it is told nothing.
        """
        answer = RedirectResponse(BASE + to, 303, self._headers)
        if notice is not None:
            leave_notice(answer, self._request, notice)
        return answer

    def leave(self) -> RedirectResponse:
        """Send the browser to the login page, its session having ended."""
        answer = self.redirect("", Notice("You are logged out"))
        cookies.forget(answer, self._request, "session")
        return answer


def leave_notice(answer: Response, request: Request, notice: Notice) -> None:
    """Have the next page tell it."""
    sealed = runtime_of(request).forms.seal(notice)
    cookies.write(answer, request, "notice", sealed, NOTICE_TTL)


def notice_in(request: Request) -> Notice | None:
    """What the page before this left to be told."""
    sealed = cookies.read(request, "notice")
    notice = runtime_of(request).forms.unseal(sealed) if sealed else None
    return Notice(*notice) if notice else None
