"""The pages of mail as people see them."""

import pytest
from playwright.async_api import Page, expect

from app.schemas.background.mail import SendMail
from app.services.mail.kinds import KINDS
from app.worker.registry import send_mail
from tests.browser.conftest import (
    DASHBOARD,
    THEMES,
    assert_accessible,
    log_in,
    overflow,
    violations,
)

MAIL = f"{DASHBOARD}/mail"
VIEWS = {"table": MAIL, "none": f"{MAIL}?state=failed", "preview": f"{MAIL}/preview/test-mail"}


@pytest.fixture
async def mails(root, runtime) -> None:
    """A mail that was caught."""
    mail = SendMail(mail="test-mail", to="ada@example.com", data={"requested_at": "now"})
    await send_mail(runtime, mail)


@pytest.fixture
async def table(page: Page, root, mails) -> Page:
    await log_in(page, root, MAIL)
    return page


async def test_the_navigation_leads_to_a_caught_mail_as_its_recipient_would_see_it(table):
    await table.get_by_role("link", name="Test mail from Backend API").first.click()

    frame = table.frame_locator("iframe")
    await expect(frame.get_by_role("heading", name="Mail arrives")).to_be_visible()
    await expect(table.get_by_role("region", name="Text", exact=True)).to_contain_text(
        "sending works"
    )


async def test_a_link_in_a_caught_mail_opens_a_tab_of_its_own(table):
    await table.get_by_role("link", name="Test mail from Backend API").first.click()

    async with table.context.expect_page() as opened:
        await table.frame_locator("iframe").get_by_role("link", name="Open Backend API").click()

    assert (await opened.value) is not table


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 700])
async def test_a_mail_is_readable_in_both_themes_and_on_a_phone(
    open_page, root, mails, scheme, width
):
    page = await open_page(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    await log_in(page, root, f"{MAIL}/preview/test-mail/html")

    assert await overflow(page) == 0
    color, ground = await page.evaluate(
        "[getComputedStyle(document.querySelector('h1')).color,"
        " getComputedStyle(document.querySelector('.card')).backgroundColor]"
    )
    light = scheme == "light"
    assert (color == "rgb(23, 26, 33)") is light
    assert (ground == "rgb(255, 255, 255)") is light


async def test_every_template_fits_a_phone_without_an_image_and_has_contrast_in_both_themes(
    open_page, runtime
):
    page = await open_page(viewport={"width": 320, "height": 800})
    faults = []
    for kind in KINDS:
        await page.set_content(runtime.mailer.preview(kind).html)
        assert await page.locator("h1").is_visible()
        for scheme in THEMES:
            await page.emulate_media(color_scheme=scheme)
            faults += [(kind, fault) for fault in await violations(page) if "contrast" in fault]
        if await overflow(page) or await page.locator("img").count():
            faults.append((kind, "too wide, or with an image"))

    assert faults == []


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, mails, view):
    await assert_accessible(open_page, root, VIEWS[view])
