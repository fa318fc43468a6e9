"""Invitations and reset links by administrators as people see them, with their mails."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import DASHBOARD, assert_accessible, follow, log_in
from tests.integration.test_invitations import GRACE, age, invite
from tests.integration.test_roles import new_role

NEW = "another battery staple horse"
VIEWS = {"invitations": f"{DASHBOARD}/invitations", "invite": f"{DASHBOARD}/invitations/new"}


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, view):
    await new_role(root, "support", "users:read")
    await invite(root, roles=["support"])

    await assert_accessible(open_page, root, VIEWS[view])


async def test_an_administrator_invites_with_a_role_without_scripts(open_page, root, mailbox):
    await new_role(root, "support", "users:read")
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, f"{DASHBOARD}/users")
    await page.get_by_role("link", name="Invite a user").click()
    await page.get_by_label("Email").fill(GRACE)
    await page.get_by_label("support").check()
    await page.get_by_role("button", name="Invite").click()
    await expect(page.get_by_role("status").first).to_have_text(f"Invited {GRACE}")

    await follow(page, mailbox, "invitation")
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Make the account").click()

    await expect(page.get_by_role("status")).to_contain_text("Your account is made")
    (user,) = (await root.get("/users", params={"search": "grace"})).json()["items"]
    roles = (await root.get(f"/users/{user['id']}/roles")).json()
    assert [role["name"] for role in roles] == ["support"]


async def test_an_invitation_is_resent_and_revoked_without_scripts(
    open_page, root, runtime, mailbox
):
    await invite(root)
    await age(runtime, "61 seconds")
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, f"{DASHBOARD}/invitations")
    await page.get_by_role("button", name=f"Resend the invitation of {GRACE}").click()
    await expect(page.get_by_role("status").first).to_have_text(f"Invited {GRACE}")
    await page.get_by_role("button", name=f"Revoke the invitation of {GRACE}").click()

    await expect(page.get_by_role("status").first).to_have_text("The invitation is revoked")
    await expect(page.get_by_role("cell", name="Revoked")).to_be_visible()
    assert not [mail for mail in await mailbox.receive() if mail.to == GRACE]


async def test_an_administrator_sends_a_reset_link(root_page, root, ada, mailbox):
    await root_page.goto(f"{DASHBOARD}/users/{ada.id}")
    await root_page.get_by_role("button", name="Send reset link").click()
    await expect(root_page.get_by_role("status").first).to_contain_text("The link is on its way")

    await follow(root_page, mailbox, "new password")
    await root_page.get_by_label("New password").fill(NEW)
    await root_page.get_by_role("button", name="Set the password").click()

    await expect(root_page.get_by_role("status")).to_contain_text("Your new password is set")
    credentials = {"email": ada.email, "password": NEW}
    login = await ada.client.post("/api/v1/auth/login", json=credentials)
    assert login.status_code == 200
