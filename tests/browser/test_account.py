"""The pages of one's own account as people see them, with the mails that lead to them."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import (
    PHONE,
    THEMES,
    OpenPage,
    assert_accessible,
    follow,
    log_in,
    overflow,
    violations,
)
from tests.browser.serving import serving
from tests.conftest import PASSWORD, Person, browsing, running
from tests.mailbox import Mailbox

ACCOUNT = "/account"
NEW = "another battery staple horse"
VIEWS = {
    "account": ACCOUNT,
    "profile": f"{ACCOUNT}/profile",
    "password": f"{ACCOUNT}/password",
    "email": f"{ACCOUNT}/email",
    "keys": f"{ACCOUNT}/keys",
    "revocation of a key": f"{ACCOUNT}/keys/00000000-0000-4000-8000-000000000000/revoke",
    "deletion": f"{ACCOUNT}/deletion",
}
LINK_VIEWS = {
    "login": f"{ACCOUNT}/login",
    "recovery": f"{ACCOUNT}/password-recovery",
    "reset": f"{ACCOUNT}/password-reset?token=x",
    "incomplete": f"{ACCOUNT}/password-reset",
    "verification": f"{ACCOUNT}/email-verification?token=x",
    "email change": f"{ACCOUNT}/email-change?token=x",
    "email change undo": f"{ACCOUNT}/email-change-undo?token=x",
    "deletion undo": f"{ACCOUNT}/deletion-undo?token=x",
    "invitation": f"{ACCOUNT}/invitation?token=x",
}


@pytest.fixture
async def ada_page(page: Page, ada) -> Page:
    await log_in(page, ada, ACCOUNT)
    assert await page.title() == "Your account · Backend API"
    return page


async def test_a_forgotten_password_is_set_anew_by_the_link_in_a_mail(page, ada, mailbox):
    await page.goto(ACCOUNT)
    await page.get_by_role("link", name="Forgot your password?").click()
    await page.get_by_label("Email").fill(ada.email)
    await page.get_by_role("button", name="Send the link").click()
    await expect(page.get_by_role("status")).to_contain_text("a link is on its way")

    await follow(page, mailbox)
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Set the password").click()

    await expect(page.get_by_role("status")).to_contain_text("Your new password is set")
    await page.get_by_label("Email or username").fill(ada.email)
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_title("Your account · Backend API")


async def test_a_used_link_leads_to_a_new_one(page, ada, mailbox, client, watch):
    watch.expect_status(422)
    await client.post("/api/v1/auth/password-recovery", json={"email": ada.email})
    token = await mailbox.token()
    used = {"token": token, "new_password": NEW}
    await client.post("/api/v1/auth/password-reset", json=used)

    await page.goto(f"{ACCOUNT}/password-reset?token={token}")
    await page.get_by_label("New password").fill(f"{NEW}!")
    await page.get_by_role("button", name="Set the password").click()

    await expect(page.get_by_role("alert")).to_contain_text("not valid any more")
    await page.get_by_role("link", name="Get a new link").click()
    await expect(page.get_by_label("Email")).to_be_visible()


async def test_an_email_is_verified_by_the_link_in_a_mail(ada_page, mailbox):
    await ada_page.get_by_role("button", name="Send a mail to verify the email").click()
    await expect(ada_page.get_by_role("status")).to_contain_text("on its way")

    await follow(ada_page, mailbox)
    await ada_page.get_by_role("button", name="Verify the email").click()

    await expect(ada_page.get_by_role("status")).to_have_text("Your email is verified")
    await expect(ada_page.get_by_text("not verified")).to_have_count(0)


async def test_where_it_is_required_an_email_is_verified_before_the_first_login(
    open_page, client, settings, watch
):
    watch.expect_status(403)
    required = settings.replaced(auth={"email_verification": "required"})
    async with running(required) as app, browsing(app) as browser, serving(app) as url:
        watch.server = url
        mailbox = Mailbox(app.state.runtime)
        page = await open_page(base_url=url)
        sign_up = {"email": "grace@example.com", "password": PASSWORD}
        await browser.post("/api/v1/users", json=sign_up)
        grace = Person(browser, 0, "grace@example.com")
        await log_in(page, grace, ACCOUNT)
        await expect(page.get_by_role("alert")).to_contain_text("Verify your email first")

        await follow(page, mailbox)
        await page.get_by_role("button", name="Verify the email").click()
        await expect(page.get_by_role("status")).to_have_text("Your email is verified")
        await log_in(page, grace, ACCOUNT)

        await expect(page).to_have_title("Your account · Backend API")
        await page.goto("about:blank")  # before its server ends


async def test_an_email_is_changed_and_restored_by_the_links_in_mails(ada_page, ada, mailbox):
    await ada_page.get_by_role("link", name="Change email").click()
    await ada_page.get_by_label("New email").fill("ada@example.org")
    await ada_page.get_by_label("Current password").fill(PASSWORD)
    await ada_page.get_by_role("button", name="Send the link").click()
    await expect(ada_page.get_by_role("status")).to_contain_text("on its way to ada@example.org")

    await follow(ada_page, mailbox)
    await ada_page.get_by_role("button", name="Change the email").click()
    await expect(ada_page.get_by_role("status")).to_have_text("Your email is changed")

    await follow(ada_page, mailbox)
    await ada_page.get_by_role("button", name="Restore the email").click()

    await expect(ada_page.get_by_role("status")).to_contain_text("Your old email is restored")
    await follow(ada_page, mailbox, "new password")
    await ada_page.get_by_label("New password").fill(NEW)
    await ada_page.get_by_role("button", name="Set the password").click()

    await expect(ada_page.get_by_role("status")).to_contain_text("Your new password is set")
    await log_in(ada_page, ada, ACCOUNT, NEW)
    await expect(ada_page.get_by_role("definition").first).to_contain_text(ada.email)


async def test_an_account_is_deleted_and_kept_by_the_link_in_a_mail(ada_page, ada, mailbox):
    await ada_page.get_by_role("link", name="Delete your account").click()
    await ada_page.get_by_label("Current password").fill(PASSWORD)
    await ada_page.get_by_role("button", name="Delete your account").click()
    await expect(ada_page.get_by_role("status")).to_contain_text("Your account is inactive")

    await follow(ada_page, mailbox)
    await ada_page.get_by_role("button", name="Undo the deletion").click()

    await expect(ada_page.get_by_role("status")).to_contain_text("Your account is active again")
    await log_in(ada_page, ada, ACCOUNT)
    await expect(ada_page).to_have_title("Your account · Backend API")


async def test_the_data_of_the_account_is_downloaded(ada_page):
    async with ada_page.expect_download() as download:
        await ada_page.get_by_role("link", name="Export").click()

    assert (await download.value).suggested_filename.startswith("my-data-")


async def test_an_invited_person_makes_an_account_and_logs_in(page, root, mailbox):
    await root.post("/users/invitations", json={"email": "grace@example.com"})
    await page.goto(ACCOUNT)

    await follow(page, mailbox)
    await page.get_by_label("Full name").fill("Grace Hopper")
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Make the account").click()

    await expect(page.get_by_role("status")).to_contain_text("Your account is made")
    await page.get_by_label("Email or username").fill("grace@example.com")
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Grace Hopper")


async def test_the_profile_is_changed_without_scripts(open_page: OpenPage, ada):
    page = await open_page(java_script_enabled=False)
    await log_in(page, ada, ACCOUNT)
    await page.get_by_role("link", name="Edit profile").click()
    await page.get_by_label("Full name").fill("Ada King")
    await page.get_by_role("button", name="Save").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Ada King")


async def test_the_password_is_changed(ada_page, ada, watch):
    watch.expect_status(422)
    await ada_page.get_by_role("link", name="Change password").click()
    await ada_page.get_by_label("Current password").fill("wrong")
    await ada_page.get_by_label("New password").fill(NEW)
    await ada_page.get_by_role("button", name="Change password").click()
    await expect(ada_page.get_by_text("Is not the current password")).to_be_visible()

    await ada_page.get_by_label("Current password").fill(PASSWORD)
    await ada_page.get_by_label("New password").fill(NEW)
    await ada_page.get_by_role("button", name="Change password").click()

    await expect(ada_page.get_by_role("status")).to_contain_text("Your password is changed")


async def test_the_session_of_another_device_is_ended(ada_page, open_page, ada):
    user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    phone = await open_page(user_agent=user_agent)
    await log_in(phone, ada, ACCOUNT)
    await ada_page.reload()

    button = ada_page.get_by_role("button", name="End the session of Firefox on Linux")
    await button.click()

    await expect(ada_page.get_by_role("status")).to_have_text("The session has ended")
    await phone.reload()
    await expect(phone.get_by_role("alert")).to_contain_text("Your session has ended")


async def test_a_key_is_made_shown_once_and_revoked_without_scripts(open_page, ada, mailbox):
    page = await open_page(java_script_enabled=False)
    await log_in(page, ada, ACCOUNT)
    await page.get_by_role("link", name="API keys").click()
    await page.get_by_label("Name").fill("Nightly export")
    await page.get_by_role("button", name="Make the key").click()
    key = await page.get_by_label("API key").input_value()
    mails = [mail.text for mail in await mailbox.receive()]
    await page.get_by_role("link", name="Your account", exact=True).click()
    await page.get_by_role("link", name="API keys").click()
    await expect(page.get_by_label("API key")).to_have_count(0)
    await page.get_by_role("link", name="Revoke Nightly export").click()
    await page.get_by_role("button", name="Revoke the key").click()

    await expect(page.get_by_role("status")).to_have_text("Revoked the API key")
    assert key.startswith("bapi_")
    assert any("Nightly export" in mail for mail in mails)
    assert (await ada.get("/api-keys")).json()["total"] == 0


async def test_the_header_of_the_dashboard_leads_to_the_account(root_page, root):
    await root_page.get_by_role("link", name=root.email).click()

    await expect(root_page).to_have_title("Your account · Backend API")


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, ada, view):
    await assert_accessible(open_page, ada, VIEWS[view])


@pytest.mark.parametrize("view", LINK_VIEWS)
async def test_the_page_without_a_session_is_accessible_and_fits_a_phone(open_page, view):
    page = await open_page(reduced_motion="reduce")
    await page.goto(LINK_VIEWS[view])
    for scheme in THEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == []
    for width in (320, PHONE["width"]):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await overflow(page) == 0
