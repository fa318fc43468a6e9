"""`AdminPage`: builds the responses of the admin pages: HTML, redirects, notices, form errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel

from app.admin import cookies
from app.admin.csrf import FormRefusedException
from app.admin.drawing.api_call import ApiCall, api_call
from app.admin.formats import Formats
from app.admin.navigation import views_of
from app.admin.rendering import ACCOUNT, BASE, is_panel, render, shows_notice, words_of
from app.admin.translation import N_, Translation
from app.admin.typed import NotSavedYetException, is_draft
from app.api.runtime import runtime_of
from app.core.exceptions import (
    AppException,
    ConflictException,
    ForbiddenException,
    ValidationException,
)
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.background.bulk_action import UserAction

NOT_ALLOWED = "Your roles do not allow this"
NOTICE_TTL = 60
"""Seconds for which a notice waits for the page that shows it."""


class Undo(NamedTuple):
    """What undoes an action on users.

    Attributes:
        action: the opposite one.
        ids: of the users whom the action changed.
        back: URL to return to.
    """

    action: UserAction
    ids: Sequence[int]
    back: str


class Notice(NamedTuple):
    """A message about a form's result, shown on the page after it."""

    text: str
    kind: Literal["success", "error"] = "success"
    undo: Undo | None = None


class InvalidFormException(AppException):
    """A refusal of what a form sent. The browser gets the form again.

    Args:
        refusal: why; the status, code and details are its.
        render: called with the status, the headers and the body as `error`, it renders the form.
    """

    def __init__(self, refusal: AppException, render: Callable[..., Response]) -> None:
        super().__init__(refusal.message, details=refusal.details, headers=refusal.headers)
        self.status, self.error, self.render = refusal.status, refusal.error, render


@contextmanager
def redisplay_on_error(
    render: Callable[..., Response], *refusals: type[AppException]
) -> Iterator[None]:
    """Show a form again where the block raises one of `refusals`.

    Raises:
        InvalidFormException: it did.
    """
    try:
        yield
    except refusals as refusal:
        raise InvalidFormException(refusal, render) from refusal


class AdminPage:
    """Builds the responses of a request for a user who is logged in and may use the pages.

    Args:
        request: what is answered.
        response: has the headers that dependencies have set.
        admin: the superuser, or the user with a role.

    Attributes:
        base: the path that `redirect` begins with.
    """

    base = BASE

    def __init__(self, request: Request, response: Response, admin: Principal) -> None:
        self.admin = admin
        self._request = request
        self._headers = response.headers
        self._forms = runtime_of(request).forms

    def require(self, *permissions: Permission) -> None:
        """
        Raises:
            ForbiddenException: the caller lacks one of them.
        """
        if not all(map(self.admin.may, permissions)):
            raise ForbiddenException(NOT_ALLOWED)

    @property
    def words(self) -> Translation:
        """The words of the language of the request."""
        return words_of(self._request)

    @property
    def formats(self) -> Formats:
        """Figures and times as its pages write them."""
        return Formats(self.words)

    @property
    def first_url(self) -> str:
        """URL of the first view that the caller may see; of their account if there is none."""
        views = views_of(self.admin)
        return BASE + views[0].path if views else ACCOUNT

    def api_call(self, path: str, permission: Permission | None, *params: BaseModel) -> ApiCall:
        """The call of the API for what a list shows: see `api_call`.

        Its URL is the service's public one, where that is set: behind a proxy that is not trusted,
        a request does not tell the scheme."""
        public = runtime_of(self._request).settings.mail.link_base_url
        origin = public or str(self._request.base_url).rstrip("/")
        return api_call(origin, path, permission, params)

    def render(
        self,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """A view. Its template has `admin`, `impersonator`, `may`, `views`, `notice` and `csrf`,
        the token for its forms, as well."""
        answer = render(
            self._request,
            template,
            status,
            {**self._headers, **(headers or {})},
            admin=self.admin.user,
            impersonator=self.admin.impersonator,
            may=self.admin.may,
            views=views_of(self.admin),
            notice=notice_in(self._request),
            csrf=self._forms.token(str(self.admin.session_id)),
            **context,
        )
        delete_notice(answer, self._request)
        return answer

    def redisplay_on_error(self, template: str, **context: Any) -> AbstractContextManager[None]:
        """Answer with this view where the block refuses what was sent (403, 409, 422), or needs a
        confirmation first; its template has the refusal as `error`.

        Raises:
            InvalidFormException: at once, where the form came back after a login.
        """
        render = partial(self.render, template, **context)
        if is_draft(self._request):
            raise InvalidFormException(NotSavedYetException(), render)
        refusals = ConflictException, ForbiddenException, ValidationException
        return redisplay_on_error(render, *refusals)

    def seal(self, purpose: str, *values: Any) -> str:
        """Values of JSON for a field of a form of this session: readable, and not to be changed."""
        return self._forms.seal([purpose, str(self.admin.session_id), *values])

    def unseal(self, purpose: str, sealed: str) -> list[Any]:
        """The values that a page of this session sealed for this purpose.

        Raises:
            FormRefusedException: they were changed, or are of another session or purpose.
        """
        values: list[Any] = self._forms.unseal(sealed) or []
        if values[:2] != [purpose, str(self.admin.session_id)]:
            raise FormRefusedException
        return values[2:]

    def redirect(self, to: str, notice: Notice | None = None) -> RedirectResponse:
        """Redirect after a form (303).

        Args:
            to: a path below the pages' own, such as `/users?page=2`.
            notice: shown on the next page.
        """
        return redirect(self._request, self.base + to, self._headers, notice)

    def redirect_to(self, url: str, notice: Notice | None = None) -> RedirectResponse:
        """Redirect after a form to any of the pages: see `safe_next`."""
        return redirect(self._request, url, self._headers, notice)

    def redirect_to_list(self, to: str, notice: Notice) -> RedirectResponse:
        """`redirect` to a list, also out of the drawer beside it."""
        return out_of_drawer(self._request, self.redirect(to, notice))

    def redirect_as(self, token: str, lifetime: int) -> RedirectResponse:
        """Redirect to the account of a user as whom the superuser acts from now on, with a cookie
        beside that of the superuser's own session.

        Args:
            token: for the cookie.
            lifetime: of the cookie, in seconds.
        """
        answer = out_of_drawer(self._request, redirect(self._request, ACCOUNT, self._headers))
        cookies.write(answer, self._request, "impersonation", token, lifetime)
        return answer

    def redirect_as_oneself(self, url: str, notice: str) -> RedirectResponse:
        """Redirect without that cookie."""
        return as_oneself(self._request, url, self._headers, notice)

    def logged_out(self, why: str = N_("You are logged out")) -> RedirectResponse:
        """Redirect to the login page after the session has ended."""
        place = BASE if views_of(self.admin) else ACCOUNT
        answer = redirect(self._request, place, self._headers, Notice(why))
        cookies.delete(answer, self._request, "session")
        return answer


class AccountPage(AdminPage):
    """The same for the pages of one's own account, which every user has."""

    base = ACCOUNT


def redirect(
    request: Request, to: str, headers: Mapping[str, str], notice: Notice | None = None
) -> RedirectResponse:
    """Redirect after a form (303), to a path of ours that shows the notice."""
    answer = RedirectResponse(to, 303, headers)
    if notice is not None:
        sealed = runtime_of(request).forms.seal(notice)
        cookies.write(answer, request, "notice", sealed, NOTICE_TTL)
    return answer


def out_of_drawer(request: Request, answer: RedirectResponse) -> RedirectResponse:
    """The same redirect of the whole page, where a drawer would follow it."""
    if is_panel(request):
        answer.status_code, answer.headers["HX-Redirect"] = 200, answer.headers["Location"]
        del answer.headers["Location"]
    return answer


def as_oneself(
    request: Request, to: str, headers: Mapping[str, str], notice: str
) -> RedirectResponse:
    """Redirect a browser whose impersonation is over: its own session is used again."""
    answer = redirect(request, to, headers, Notice(notice))
    cookies.delete(answer, request, "impersonation")
    return answer


def notice_in(request: Request) -> Notice | None:
    """The notice that the page before this one left in a cookie; none for a part of a page."""
    sealed = cookies.read(request, "notice") if shows_notice(request) else None
    notice = runtime_of(request).forms.unseal(sealed) if sealed else None
    if not notice:
        return None
    text, kind, *undo = notice
    return Notice(text, kind, Undo(*undo[0]) if any(undo) else None)


def delete_notice(answer: Response, request: Request) -> None:
    """Have the browser delete the notice that this page shows."""
    if shows_notice(request):
        cookies.delete(answer, request, "notice")
