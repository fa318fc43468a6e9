"""Who looks at the page: what its endpoints depend on."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Form, Request, Response
from pydantic import BaseModel, Field

from app.admin import cookies
from app.admin.csrf import check_form
from app.admin.page import Page
from app.api import limits
from app.api.runtime import runtime_of
from app.core.exceptions import UnauthorizedException
from app.schemas.base import Secret, Text
from app.schemas.session import Principal


class LoginRequiredException(UnauthorizedException):
    """Nobody is logged in at this browser, or nobody any more."""

    error = "login_required"
    message = "Log in to see this page"


class LoginForm(BaseModel):
    """As the login page sends it. Any password is accepted and simply wrong."""

    username: Text = Field(max_length=254)
    password: Secret
    next: Text = ""


async def get_visitor(request: Request, response: Response) -> Principal:
    """The superuser whose cookie came along, within their limit of reads or writes.

    A form has to be one of ours.

    Raises:
        LoginRequiredException: no cookie, or a session that has ended or is no superuser's.
        FormRefusedException: a form that is not theirs, or from another site.
        RateLimitExceeded: they called too often.
    """
    return await _let_in(request, response, runtime_of(request).visitors.principal)


async def get_onlooker(request: Request, response: Response) -> Principal:
    """The same for the overview: while the database is away, who was let in before may look on."""
    return await _let_in(request, response, runtime_of(request).visitors.onlooker)


async def _let_in(
    request: Request, response: Response, let_in: Callable[[str], Awaitable[Principal]]
) -> Principal:
    parts, token = runtime_of(request), cookies.read(request, "session")
    if token is None:
        raise LoginRequiredException
    try:
        visitor = await let_in(token)
    except UnauthorizedException as error:
        raise LoginRequiredException("Your session has ended: log in again") from error
    if not visitor.is_superuser:
        raise LoginRequiredException("This page is for superusers only")
    request.state.principal = visitor.user_id
    await limits.check_principal(request, response, parts.hits, parts.settings.limiter, visitor)
    await check_form(request, str(visitor.session_id))
    return visitor


async def get_page(
    request: Request,
    response: Response,
    visitor: Annotated[Principal, Depends(get_visitor)],
) -> Page:
    """What a view answers with."""
    return Page(request, response, visitor)


async def get_overview_page(
    request: Request,
    response: Response,
    visitor: Annotated[Principal, Depends(get_onlooker)],
) -> Page:
    """What the overview answers with, also while the database is away."""
    return Page(request, response, visitor)


async def stranger_with_form(request: Request) -> None:
    """For the login form: it came from our login page, to this browser.

    Raises:
        FormRefusedException: it did not.
    """
    await check_form(request, cookies.read(request, "form"))


async def get_login_form(request: Request, form: Annotated[LoginForm, Form()]) -> LoginForm:
    """The login form. Its name and way back are kept, in case it has to be shown again."""
    request.state.login = form
    return form


PageDep = Annotated[Page, Depends(get_page)]
OverviewPage = Annotated[Page, Depends(get_overview_page)]
Login = Annotated[LoginForm, Depends(get_login_form)]
FromOurLoginPage = Depends(stranger_with_form)
