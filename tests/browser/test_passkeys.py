"""Passkeys in Chromium, with its virtual authenticator over the DevTools protocol."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.browser.conftest import DASHBOARD, PHONE, log_in, overflow, violations
from tests.conftest import Person
from tests.mfa import make_stale

SECURITY = "/account/security"
PHONE_KEY = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
Visit = Callable[..., Awaitable["Visitor"]]


@dataclass
class Visitor:
    """A browser with an authenticator.

    Attributes:
        key: id of the authenticator.
    """

    page: Page
    devtools: CDPSession
    key: str

    async def passkeys(self) -> list[dict[str, Any]]:
        """Those that the authenticator holds."""
        found = await self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.key})
        credentials: list[dict[str, Any]] = found["credentials"]
        return credentials

    async def verify_user(self, *, is_verified: bool) -> None:
        await self.devtools.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": self.key, "isUserVerified": is_verified},
        )


@pytest.fixture
async def visit(open_page, server, watch) -> Visit:
    """Opens a browser at localhost: passkeys cannot be bound to an address."""
    watch.server = server.replace("127.0.0.1", "localhost")

    async def visit(**options: Any) -> Visitor:
        page = await open_page(base_url=watch.server, **options)
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("WebAuthn.enable", {"enableUI": False})
        added = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": PHONE_KEY})
        return Visitor(page, devtools, added["authenticatorId"])

    return visit


async def register(visitor: Visitor, root: Person) -> None:
    """Log in by password, and add a passkey."""
    page = visitor.page
    await log_in(page, root, SECURITY)
    await page.get_by_label("Name of a new passkey").fill("Phone")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()


async def log_out(page: Page) -> None:
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_a_passkey_is_registered_and_shown_with_recovery_codes(visit, root):
    visitor = await visit()

    await register(visitor, root)

    page = visitor.page
    await expect(
        page.get_by_role("list", name="Recovery codes").get_by_role("listitem")
    ).to_have_count(10)
    (passkey,) = await visitor.passkeys()
    assert passkey["isResidentCredential"]
    assert passkey["rpId"] == "localhost"
    await page.get_by_role("link", name="I have stored them").click()
    await expect(page.get_by_role("button", name="Remove Phone")).to_be_visible()


@pytest.mark.parametrize(
    ("place", "heading"), [(SECURITY, "Security"), (f"{DASHBOARD}/users", "Users")]
)
async def test_the_passkey_is_offered_beside_the_username_and_logs_in(visit, root, place, heading):
    """Conditional UI: no button is pressed."""
    visitor = await visit()
    await register(visitor, root)
    await log_out_of(visitor)

    await visitor.page.goto(place)

    await expect(visitor.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


async def log_out_of(visitor: Visitor) -> None:
    """End the session without the login page, which would log in again at once."""
    await visitor.page.context.clear_cookies()


async def test_the_button_logs_in_where_nothing_is_offered(visit, root):
    visitor = await visit()
    await register(visitor, root)
    await log_out_of(visitor)
    await visitor.page.add_init_script(
        "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
    )
    await visitor.page.goto(DASHBOARD)

    await visitor.page.get_by_role("button", name="Use a passkey").click()

    await expect(visitor.page.get_by_role("heading", name="Overview")).to_have_count(1)


async def test_a_passkey_that_is_not_used_says_so_and_the_password_remains(visit, root):
    visitor = await visit()
    await register(visitor, root)
    await log_out_of(visitor)
    await visitor.verify_user(is_verified=False)
    await visitor.page.goto(DASHBOARD)

    await visitor.page.get_by_role("button", name="Use a passkey").click()

    await expect(visitor.page.get_by_role("alert")).to_have_text("No passkey was used.")
    await expect(visitor.page.get_by_label("Password")).to_be_visible()


async def test_a_grave_action_is_confirmed_by_a_passkey(visit, root, ada, runtime):
    visitor = await visit()
    await register(visitor, root)
    await make_stale(runtime)
    page = visitor.page
    await page.goto(f"{DASHBOARD}/users/{ada.id}")

    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    await page.get_by_role("button", name="Use a passkey").click()

    await expect(page.get_by_role("heading", name="Delete ada?")).to_be_visible()


async def test_at_another_address_no_passkey_is_offered(page, root):
    """The address of the other tests, which is no domain."""
    await log_in(page, root, SECURITY)

    await expect(page.get_by_text("Passkeys can be used at localhost only")).to_be_visible()
    await expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()


@pytest.mark.parametrize("view", ["security", "totp", "confirm", "codes", "rename"])
async def test_axe_finds_nothing_in_the_views_and_they_fit_a_phone(visit, root, runtime, view):
    visitor = await visit(viewport=PHONE, reduced_motion="reduce")
    page = visitor.page
    await register(visitor, root)
    if view == "totp":
        await page.goto(SECURITY)
        await page.get_by_role("button", name="Set up an app").click()
        await expect(page.get_by_role("textbox", name="Code")).to_be_visible()
    elif view == "rename":
        await page.goto(SECURITY)
        await page.get_by_role("link", name="Rename Phone").click()
        await expect(page.get_by_label("Name")).to_have_value("Phone")
    elif view != "codes":
        await page.goto(SECURITY if view == "security" else "/account/confirm")

    assert await violations(page) == []
    await page.emulate_media(color_scheme="dark")
    assert await violations(page) == []
    assert await overflow(page) == 0
