"""Routes of the mail pages: outcomes, caught mails, and previews of the templates."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response
from fastapi.responses import HTMLResponse

from app.admin.deps.pages import MailPage, PageDep
from app.admin.deps.services import Caught, MailerDep, Mails
from app.admin.listings.mail import MAIL_PATH, MailListingQuery
from app.admin.rendering import HEADERS
from app.api.routing import Router
from app.api.runtime import runtime_of
from app.core.exceptions import NotFoundException
from app.schemas.background.mail import MailState
from app.services.mail.kinds import KINDS

_FRAMING = {
    "Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; frame-src 'self'",
}
_FRAMED = HEADERS | {
    # Neither scripts nor anything from elsewhere; its links open in a tab of their own.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; "
        "form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}

router = Router(prefix=MAIL_PATH, include_in_schema=False)

MailName = Annotated[str, Path(pattern=r"^[0-9-]{1,64}$")]
Kind = Annotated[str, Path(max_length=64)]


async def check_previews(request: Request) -> None:
    """
    Raises:
        NotFoundException: in production, where there are no previews.
    """
    if runtime_of(request).settings.is_production:
        raise NotFoundException


Previewed = Depends(check_previews)


@router.get("", name="dashboard_mail")
async def mails_table(
    page: MailPage,
    listing: MailListingQuery,
    mails: Mails,
    caught: Caught,
    mailer: MailerDep,
) -> Response:
    """The table of mails, and outside production the templates, and for superusers those mails that
    were caught: they have links with secrets."""
    return page.render(
        "mail/table.html",
        listing=listing,
        states=list(MailState),
        found=await mails.newest(listing.state, listing.params),
        mailer=mailer,
        caught=await caught.newest() if page.admin.is_superuser else [],
        kinds=sorted(KINDS),
    )


@router.get("/caught/{mail_name}", name="dashboard_caught_mail")
async def caught_mail(page: PageDep, mail_name: MailName, caught: Caught) -> Response:
    """A caught mail: headers, HTML and text."""
    mail = await caught.get(mail_name)
    return page.render(
        "mail/mail.html",
        headers=_FRAMING,
        title=mail.subject,
        fields=mail.headers,
        text=mail.text,
        frame=f"{MAIL_PATH}/caught/{mail_name}/html",
    )


@router.get("/caught/{mail_name}/html", name="dashboard_caught_mail_html")
async def caught_mail_html(
    _: PageDep, mail_name: MailName, caught: Caught, response: Response
) -> Response:
    """The HTML of a caught mail, for a frame."""
    return _framed((await caught.get(mail_name)).html, response)


@router.get("/preview/{mail_kind}", name="dashboard_mail_preview", dependencies=[Previewed])
async def preview(page: MailPage, mail_kind: Kind, mailer: MailerDep) -> Response:
    """A kind of mail with example values, from the templates as they are now."""
    content = mailer.preview(mail_kind)
    return page.render(
        "mail/mail.html",
        headers=_FRAMING,
        title=content.subject,
        fields=(("Template", f"{mail_kind}.j2"), ("Subject", content.subject)),
        text=content.text,
        frame=f"{MAIL_PATH}/preview/{mail_kind}/html",
    )


@router.get(
    "/preview/{mail_kind}/html", name="dashboard_mail_preview_html", dependencies=[Previewed]
)
async def preview_html(
    _: MailPage, mail_kind: Kind, mailer: MailerDep, response: Response
) -> Response:
    """The HTML of a preview, for a frame."""
    return _framed(mailer.preview(mail_kind).html, response)


def _framed(html: str, response: Response) -> HTMLResponse:
    """The HTML, with the headers that dependencies have set in `response`: rate limits."""
    html = html.replace("<head>", '<head><base target="_blank">', 1)
    return HTMLResponse(html, headers={**response.headers, **_FRAMED})
