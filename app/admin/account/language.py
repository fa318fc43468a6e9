"""Routes of the choice of a language, before and after a login."""

from typing import Annotated

from fastapi import Depends, Form, Request, Response
from pydantic import AfterValidator, BaseModel

from app.admin import cookies
from app.admin.csrf import check_form
from app.admin.deps.pages import EnrollingPage
from app.admin.languages import LANGUAGES
from app.admin.login_page import requested_url, safe_next
from app.admin.page import redirect
from app.admin.rendering import ACCOUNT
from app.api.limits import Limited, view_limit
from app.api.routing import Router
from app.schemas.base import Text

YEAR = 365 * 86_400
"""Seconds for which a browser stores the language."""

router = Router(prefix=ACCOUNT, include_in_schema=False)


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise ValueError("should be one of the languages of the pages")
    return language


class LanguageForm(BaseModel):
    """A language, and the URL to return to where the browser sends no `Referer`."""

    language: Annotated[Text, AfterValidator(_known)]
    next: Text = ""


LanguageFormBody = Annotated[LanguageForm, Form()]


async def check_public_form(request: Request) -> None:
    """
    Raises:
        FormRefusedException: the form is not of this browser.
    """
    # Pages that a link in a mail leads to have `no-referrer`: browsers send `Origin: null`.
    await check_form(request, cookies.read(request, "form"), may_hide_origin=True)


@router.post("/language", name="account_choose_language")
async def choose_language(
    form: LanguageFormBody, page: EnrollingPage, request: Request
) -> Response:
    """Choose the language of the pages in this browser."""
    return _chosen(request, page.redirect_to(_place(request, form)), form)


@router.post(
    "/login/language",
    name="account_choose_language_before_login",
    dependencies=[Depends(check_public_form), Limited],
)
@view_limit
async def choose_language_before_login(
    form: LanguageFormBody, request: Request, response: Response
) -> Response:
    """Choose the language of the pages in this browser before a login."""
    return _chosen(request, redirect(request, _place(request, form), response.headers), form)


def _chosen(request: Request, answer: Response, form: LanguageForm) -> Response:
    cookies.write(answer, request, "language", form.language, YEAR)
    return answer


def _place(request: Request, form: LanguageForm) -> str:
    """The page that the form was on."""
    return safe_next(requested_url(request) if "Referer" in request.headers else form.next)
