"""Routes of the pages of invitations: table, form, resend, revoke."""

from typing import Annotated

from fastapi import Form, Response
from pydantic import AfterValidator, BaseModel

from app.admin.deps.pages import InvitationsPage
from app.admin.forms.access import role_choices
from app.admin.forms.invitations import InvitationForm, InvitationFormBody
from app.admin.listings.invitations import INVITATIONS_PATH, InvitationListingQuery
from app.admin.login_page import safe_view
from app.admin.page import AdminPage, Notice
from app.admin.rendering import BASE
from app.admin.translation import N_
from app.admin.typed import KeepsTyped
from app.api.deps.services import Confirmations, Invitations, Roles
from app.api.routing import Router
from app.api.types import InvitationId
from app.core.exceptions import ConflictException, TooManyRequestsException
from app.core.permissions import Permission
from app.schemas.base import Text
from app.schemas.invitation import InvitationPage, SentInvitation
from app.services.user.creation import BulkCreated

FORM_TEMPLATE = "invitations/form.html"

router = Router(prefix=INVITATIONS_PATH, include_in_schema=False)


class BackForm(BaseModel):
    """The URL to return to."""

    back: Annotated[Text, AfterValidator(safe_view)] = INVITATIONS_PATH

    @property
    def path(self) -> str:
        """`back` for `AdminPage.redirect`."""
        return self.back.removeprefix(BASE)


@router.get("", name="dashboard_invitations")
async def invitations_table(
    page: InvitationsPage, listing: InvitationListingQuery, invitations: Invitations
) -> Response:
    """The table of invitations, the newest first."""
    found = await invitations.page(listing.state, listing.params)
    found_page = InvitationPage.model_validate(found)
    return page.render(
        "invitations/table.html",
        listing=listing,
        found=found_page,
        call=page.api_call(
            "/users/invitations", Permission.USERS_INVITE, listing.filters, listing.params
        ),
    )


@router.get("/new", name="dashboard_new_invitation")
async def new_invitation(page: InvitationsPage, roles: Roles) -> Response:
    """The form to invite a user, with the roles that the caller may give."""
    grantable = role_choices(await roles.grantable(page.admin))
    return page.render(FORM_TEMPLATE, form=InvitationForm(), roles=grantable, error=None)


@router.post("/new", name="dashboard_send_invitation", dependencies=[KeepsTyped])
async def send_invitation(
    form: InvitationFormBody,
    page: InvitationsPage,
    invitations: Invitations,
    roles: Roles,
    confirmations: Confirmations,
) -> Response:
    """Invite a user."""
    grantable = role_choices(await roles.grantable(page.admin))
    with page.redisplay_on_error(FORM_TEMPLATE, form=form, roles=grantable):
        rows = form.rows()
        if rows.grants_privileges:
            await confirmations.require(page.admin)
        sent = await invitations.submit(rows, None, page.admin)
    assert isinstance(sent, BulkCreated)  # noqa: S101  # it is, unless it is a dry run
    return _sent(page, SentInvitation.model_validate_json(sent.body), "/invitations")


@router.post("/{invitation_id}/resend", name="dashboard_resend_invitation")
async def resend(
    invitation_id: InvitationId,
    form: Annotated[BackForm, Form()],
    page: InvitationsPage,
    invitations: Invitations,
) -> Response:
    """Send an invitation again."""
    try:
        sent = await invitations.resend(invitation_id, page.admin)
    except (ConflictException, TooManyRequestsException) as refusal:
        return page.redirect(form.path, Notice(refusal.message, "error"))
    return _sent(page, sent, form.path)


@router.post("/{invitation_id}/revoke", name="dashboard_revoke_invitation")
async def revoke(
    invitation_id: InvitationId,
    form: Annotated[BackForm, Form()],
    page: InvitationsPage,
    invitations: Invitations,
) -> Response:
    """Make an invitation void."""
    try:
        await invitations.revoke(invitation_id)
    except ConflictException as refusal:
        return page.redirect(form.path, Notice(refusal.message, "error"))
    return page.redirect(form.path, Notice("The invitation is revoked"))


def _sent(page: AdminPage, sent: SentInvitation, path: str) -> Response:
    """A redirect with a notice, or where no mail is sent, the link, this once."""
    if sent.link is not None:
        return page.render(
            "invitations/link.html", email=sent.email, link=sent.link, lifetime=N_("seven days")
        )
    return page.redirect(path, Notice(f"Invited {sent.email}"))
