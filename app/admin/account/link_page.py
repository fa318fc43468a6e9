"""`LinkPage`: a page with one form, which a link in a mail leads to.

The GET shows the form with the token in it, and never touches the database: programs that open the
links of mails use nothing up. The POST uses the token.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query, Request, Response

from app.admin import cookies
from app.admin.account.forms import TokenFormBody
from app.admin.csrf import check_form
from app.admin.forms.public import render_public_form
from app.admin.page import Notice, redirect
from app.admin.rendering import ACCOUNT
from app.api.limits import Limited, link_limit, view_limit
from app.api.routing import Router
from app.schemas.base import Text

TOKEN = "token"  # noqa: S105  # the name of a field
Token = Annotated[Text, Query(max_length=64)]
Use = Callable[[str], Awaitable[object]]


class LinkPage(NamedTuple):
    """
    Attributes:
        name: the end of its path.
        title: heading.
        text: what the form does.
        button: the form's button.
        again: a sentence, the words of a link in it and the link's path: where to get a new mail.
        template: for forms with more than the token.
        fields: names of fields that are shown again if the form is refused.
        secrets: names of fields that are not, besides the token.
        needs_token: whether the page is reached by a link only.
    """

    name: str
    title: str
    text: str
    button: str
    again: tuple[str, str]
    template: str = "account/link.html"
    fields: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    needs_token: bool = True

    @property
    def path(self) -> str:
        return f"{ACCOUNT}/{self.name}"

    def show(
        self,
        request: Request,
        status: int,
        headers: Mapping[str, str],
        *,
        values: Mapping[str, str],
        error: Mapping[str, Any] | None = None,
    ) -> Response:
        """
        Args:
            request: what is answered.
            status: of the answer.
            headers: of the answer.
            values: of the form's fields.
            error: why the form was refused.
        """
        details = error["details"] if error else []
        is_dead = any(detail["code"] == "token_invalid" for detail in details)
        inputs = {*self.fields, *self.secrets}
        # The address has the token: no other page is told of it.
        headers = {**headers, "Referrer-Policy": "no-referrer"}
        return render_public_form(
            request,
            self.template,
            status,
            headers,
            page=self,
            values=values,
            error=error,
            elsewhere=[detail for detail in details if detail["field"] not in inputs],
            is_usable=not self.needs_token or (values[TOKEN] != "" and not is_dead),
        )


def checked(page: LinkPage) -> Any:
    """The dependency of a POST: if it is refused from here on, the browser gets the page again.

    Raises:
        FormRefusedException: the form is not of this page, or is another browser's.
    """

    async def check(request: Request) -> None:
        form = await request.form()
        sent = {name: form.get(name) for name in (TOKEN, *page.fields)}
        values = {name: value if isinstance(value, str) else "" for name, value in sent.items()}
        request.state.redisplay = partial(page.show, request, values=values)
        owner = cookies.read(request, "form")
        # Browsers send `Origin: null` from a page with `no-referrer`.
        await check_form(request, owner, may_hide_origin=True)

    return Depends(check)


def add_form(router: Router, page: LinkPage) -> None:
    """Add the route that shows the form of a page."""

    async def show(request: Request, response: Response, token: Token = "") -> Response:
        values = {**dict.fromkeys(page.fields, ""), TOKEN: token}
        return page.show(request, 200, response.headers, values=values)

    show.__name__ = f"show_{page.name}"  # limits are those of an endpoint's name
    name = f"account_{page.name.replace('-', '_')}"
    router.get(f"/{page.name}", name=name, dependencies=[Limited])(view_limit(show))


def add_token_page(
    router: Router,
    page: LinkPage,
    action: str,
    get_use: Callable[..., Awaitable[Use]],
    place: str,
    notice: str,
) -> None:
    """Add the two routes of a page whose form has nothing but the token.

    Args:
        router: of the account pages.
        page: what is shown.
        action: name of the route that uses the token.
        get_use: dependency that returns the function which uses it.
        place: URL to go to then.
        notice: shown there.
    """
    add_form(router, page)

    async def submit(
        form: TokenFormBody,
        use: Annotated[Use, Depends(get_use)],
        request: Request,
        response: Response,
    ) -> Response:
        await use(form.token.get_secret_value())
        return redirect(request, place, response.headers, Notice(notice))

    submit.__name__ = f"submit_{page.name}"
    checks = [checked(page), Limited]
    router.post(f"/{page.name}", name=action, dependencies=checks)(link_limit(submit))
