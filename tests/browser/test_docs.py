"""`/docs` and `/redoc` in Chromium: what `Watch` forbids, such as an error in the console, a
violation of the policy or a request to another host, fails the test."""

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import Watch
from tests.conftest import PASSWORD, Person


@pytest.fixture
async def offline(page: Page, server: str) -> Page:
    """A browser that reaches no host but ours."""
    context: BrowserContext = page.context

    async def refuse(route: Route) -> None:
        await route.abort()

    await context.route(lambda url: not url.startswith(("data:", "blob:", server)), refuse)
    return page


async def test_swagger_ui_shows_every_group_of_operations(offline: Page):
    await offline.goto("/docs")

    await expect(offline.get_by_text("/api/v1/users/me", exact=True).first).to_be_visible()
    for tag in "auth", "users", "metrics", "dashboard", "health":
        await expect(offline.locator(f"#operations-tag-{tag}")).to_be_visible()


async def test_try_it_out_logs_in_and_reads_the_profile(offline: Page, ada: Person):
    await offline.goto("/docs")
    await offline.get_by_role("button", name="Authorize").first.click()
    form = offline.locator(".auth-container")
    await form.get_by_label("username:").fill("ada")
    await form.get_by_label("password:").fill(PASSWORD)
    await form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
    await offline.get_by_role("button", name="Close", exact=True).click()
    operation = offline.locator("#operations-users-get_me")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer).to_contain_text(ada.email)


async def test_a_wrong_password_is_refused_with_the_reason(
    offline: Page, ada: Person, watch: Watch
):
    watch.expect_status(400)
    await offline.goto("/docs")
    await offline.get_by_role("button", name="Authorize").first.click()
    form = offline.locator(".auth-container")
    await form.get_by_label("username:").fill("ada")
    await form.get_by_label("password:").fill("wrong")
    await form.get_by_role("button", name="Apply given OAuth2 credentials").click()

    await expect(form.locator(".errors")).to_contain_text("Incorrect email or password")
    await expect(form.get_by_role("button", name="Remove authorization")).to_have_count(0)


async def test_try_it_out_shows_a_refusal(offline: Page, watch: Watch):
    watch.expect_status(401)
    await offline.goto("/docs")
    operation = offline.locator("#operations-users-get_me")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("401")


async def test_redoc_shows_an_operation_and_finds_it(offline: Page, watch: Watch):
    # Redoc says so of a body that is one object or a list of them.
    watch.expected.add('found allOf with "array" type')
    await offline.goto("/redoc")
    await expect(
        offline.get_by_text("Request a mail with a link to set a new password.")
    ).to_be_visible()
    await expect(offline.get_by_text("API docs by Redocly")).to_be_visible()
    await expect(offline.get_by_alt_text("redocly logo")).to_have_count(0)
    await offline.get_by_placeholder("Search...").fill("logout")

    found = offline.get_by_role("search").get_by_role("menuitem")
    await expect(found.filter(has_text="Logout All")).to_be_visible()
