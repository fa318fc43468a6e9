"""The admin pages of invitations, and the page that accepts one."""

import httpx
import pytest

from tests.account_pages import use_link
from tests.conftest import Person, browsing
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_invitations import GRACE, NEW, age, invite, logs_in
from tests.integration.test_password_recovery import without_mail
from tests.integration.test_roles import give, new_role
from tests.mfa import make_stale

__all__ = ["browser", "without_mail"]


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def post(admin: httpx.AsyncClient, path: str, place: str, **values: object) -> httpx.Response:
    """Send the form that goes to `path`, from the page at `place`."""
    fields = form_in(await admin.get(f"{PAGE}{place}"), path)
    return await admin.post(f"{PAGE}{path}", data={**fields, **values})


async def test_an_administrator_invites_and_the_invited_person_makes_the_account(
    admin, client, mailbox
):
    sent = await post(admin, "/invitations/new", "/invitations/new", email=GRACE)
    table = await admin.get(sent.headers["Location"])
    (mail,) = await mailbox.receive()
    token = mail.text.partition("token=")[2].split()[0]

    answer = await use_link(admin, "/invitation", token, password=NEW, full_name="Grace")

    assert sent.status_code == 303
    assert f"Invited {GRACE}" in table.text
    assert "Pending" in table.text
    assert answer.status_code == 303
    assert await logs_in(client)
    assert "Accepted" in (await admin.get(f"{PAGE}/invitations")).text


async def test_a_form_that_is_refused_is_shown_again_with_what_was_typed(admin, root, mailbox):
    await invite(root)
    malformed, conflict = [
        await post(
            admin, "/invitations/new", "/invitations/new", email=email, full_name="Grace Hopper"
        )
        for email in ("no address", GRACE)
    ]

    assert (malformed.status_code, conflict.status_code) == (422, 409)
    assert 'value="no address"' in malformed.text
    assert 'value="Grace Hopper"' in malformed.text
    assert "Is invited already" in conflict.text


FORM = "/invitations/new"


async def test_an_invitation_grants_the_chosen_roles(admin, client, root, mailbox):
    await new_role(root, "support", "users:read")
    await new_role(root, "auditing", "audit:read")

    sent = await post(admin, FORM, FORM, email=GRACE, roles=["auditing", "support"])
    table = await admin.get(sent.headers["Location"])
    token = await mailbox.token()
    await use_link(admin, "/invitation", token, password=NEW)

    assert sent.status_code == 303
    assert "auditing, support" in table.text
    (user,) = (await root.get("/users", params={"search": GRACE})).json()["items"]
    roles = (await root.get(f"/users/{user['id']}/roles")).json()
    assert [role["name"] for role in roles] == ["auditing", "support"]


async def test_a_superuser_invites_a_superuser(admin, root, mailbox):
    await post(admin, FORM, FORM, email=GRACE, is_superuser="true")
    await use_link(admin, "/invitation", await mailbox.token(), password=NEW)

    (user,) = (await root.get("/users", params={"search": GRACE})).json()["items"]
    assert user["is_superuser"]


async def test_an_inviter_is_offered_and_grants_what_they_have_alone(browser, root, ada, mailbox):
    await give(root, ada, "users:invite", "users:read")
    await new_role(root, "support", "users:read")
    await new_role(root, "deleting", "users:read", "users:delete")
    await log_in(browser, ada)

    form = await browser.get(f"{PAGE}{FORM}")
    more = await post(browser, FORM, FORM, email=GRACE, roles="deleting")
    superuser = await post(browser, FORM, FORM, email=GRACE, is_superuser="true")
    unknown = await post(browser, FORM, FORM, email=GRACE, roles="nothing")
    allowed = await post(browser, FORM, FORM, email=GRACE, roles="support")

    assert 'value="support"' in form.text
    assert 'value="deleting"' not in form.text
    assert "is_superuser" not in form.text
    assert [answer.status_code for answer in (more, superuser, unknown)] == [422, 422, 422]
    assert "Allows what you may not do yourself" in more.text
    assert "There is no such role" in unknown.text
    assert allowed.status_code == 303
    assert len(await mailbox.queued()) == 1


@pytest.mark.parametrize("granted", [{"roles": "support"}, {"is_superuser": "true"}])
async def test_privileges_need_a_recent_login_and_what_was_typed_is_kept(
    admin, root, runtime, mailbox, granted
):
    await new_role(root, "support", "users:read")
    await make_stale(runtime)

    refused = await post(admin, FORM, FORM, email=GRACE, **granted)
    plain = await post(admin, FORM, FORM, email=GRACE)

    assert refused.status_code == 403
    assert "confirm that it is you" in refused.text
    assert f'value="{GRACE}"' in refused.text
    assert " checked" in refused.text
    assert plain.status_code == 303


async def test_an_invitation_is_resent_and_revoked_from_the_table(admin, root, runtime, mailbox):
    invitation = await invite(root)
    place = f"/invitations/{invitation['id']}"
    early = await post(admin, f"{place}/resend", "/invitations?state=pending")
    refusal = await admin.get(early.headers["Location"])
    await age(runtime, "61 seconds")

    resent = await post(admin, f"{place}/resend", "/invitations?state=pending")
    revoked = await post(admin, f"{place}/revoke", "/invitations")
    table = await admin.get(revoked.headers["Location"])

    assert early.headers["Location"] == f"{PAGE}/invitations?state=pending"
    assert "less than a minute ago" in refusal.text
    assert resent.status_code == 303
    assert "The invitation is revoked" in table.text
    assert f"{place}/resend" not in table.text


async def test_whoever_may_not_invite_sees_no_invitations(browser, root, ada):
    await give(root, ada, "users:read")
    await log_in(browser, ada)

    users = await browser.get(f"{PAGE}/users")
    refused = await browser.get(f"{PAGE}/invitations")

    assert "/invitations" not in users.text
    assert refused.status_code == 403


async def test_where_no_mail_is_sent_the_page_shows_the_link_once(client, root, ada, without_mail):
    async with browsing(without_mail) as elsewhere:
        elsewhere.base_url = httpx.URL("https://test")
        await log_in(elsewhere, root)
        invited = await post(elsewhere, "/invitations/new", "/invitations/new", email=GRACE)
        place = f"/users/{ada.id}"
        reset = await post(elsewhere, f"{place}/password-reset", place)

    assert "/account/invitation?token=" in invited.text
    assert "/account/password-reset?token=" in reset.text


async def test_an_administrator_has_a_reset_link_mailed(admin, ada, mailbox):
    place = f"/users/{ada.id}"
    answer = await post(admin, f"{place}/password-reset", place)

    assert answer.status_code == 303
    assert [mail.to for mail in await mailbox.receive()] == [ada.email]


async def test_users_are_filtered_by_whether_their_email_is_verified(admin, ada):
    shown, hidden = [
        (await admin.get(f"{PAGE}/users", params={"email_verified": verified})).text
        for verified in ("false", "true")
    ]

    assert ada.email in shown
    assert ada.email not in hidden
    assert 'value="false" selected' in shown


async def test_a_refused_acceptance_is_shown_again_and_the_link_stays_valid(
    browser, client, root, mailbox
):
    await invite(root)
    token = await mailbox.token()

    refused = await use_link(browser, "/invitation", token, password="short", username="grace")
    taken = await use_link(browser, "/invitation", token, password=NEW, username="root")
    accepted = await use_link(browser, "/invitation", token, password=NEW, username="grace")

    assert (refused.status_code, taken.status_code) == (422, 409)
    assert 'value="grace"' in refused.text
    assert accepted.status_code == 303


async def test_a_resend_of_privileges_asks_who_it_is_and_leads_back(admin, root, runtime, mailbox):
    invitation = await invite(root, is_superuser=True)
    await age(runtime, "61 seconds")
    await make_stale(runtime)
    place = f"/invitations/{invitation['id']}/resend"
    fields = form_in(await admin.get(f"{PAGE}/invitations"), place)

    asked = await admin.post(
        f"{PAGE}{place}", data=fields, headers={"Referer": f"http://test{PAGE}/invitations"}
    )

    assert asked.status_code == 303
    assert asked.headers["Location"].startswith("/account/confirm?next=")
    assert "invitations" in asked.headers["Location"]
