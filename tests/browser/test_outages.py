"""What the admin pages say while the service or its database is away, and what they keep."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect
from pydantic import SecretStr

from tests.browser.conftest import DASHBOARD, PHONE, log_in, violations
from tests.browser.people import sixty
from tests.browser.serving import serving
from tests.conftest import running
from tests.tcp_proxy import TcpProxy, proxied

USERS = f"{DASHBOARD}/users"
OFFLINE = {"ERR_INTERNET_DISCONNECTED", "htmx:"}


@pytest.fixture
async def table(page: Page, root, runtime) -> Page:
    await sixty(runtime)
    await log_in(page, root, USERS)
    return page


async def test_a_search_that_failed_says_so_and_nothing_below_it_can_be_selected(table, watch):
    """Issue 22: the box said one thing above a list of everybody."""
    watch.expected |= OFFLINE
    await table.context.set_offline(True)

    await table.get_by_label("Search").fill("user1")

    told = table.get_by_text("The search failed: the service does not answer.")
    await expect(told).to_have_role("alert")
    assert await table.locator("#users").evaluate("list => list.inert")
    await expect(table.locator("#users")).to_have_css("opacity", "0.4")
    assert await violations(table) == []


async def test_a_search_that_succeeds_after_a_failure_is_shown_as_usual(table, watch):
    watch.expected |= OFFLINE
    told = table.get_by_text("The search failed")
    await table.context.set_offline(True)
    await table.get_by_label("Search").fill("user1")
    await expect(told).to_be_visible()
    await table.context.set_offline(False)

    await table.get_by_role("button", name="Search").click()

    await expect(table.locator("tbody th a")).to_have_count(10)
    await expect(told).to_be_hidden()
    assert not await table.locator("#users").evaluate("list => list.inert")


async def test_a_refused_search_says_why(table, watch):
    watch.expected |= {"status of 422", "htmx:", "Response Status Error"}
    await table.get_by_label("Search").evaluate("box => box.removeAttribute('maxlength')")

    await table.get_by_label("Search").fill("x" * 300)

    await expect(table.get_by_text("The search failed: Some values are not valid.")).to_be_visible()


async def test_a_list_cannot_be_selected_from_while_its_search_is_awaited(table):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold(route) -> None:
        arrived.set()
        await go_on.wait()
        await route.continue_()

    await table.route("**/users?search=user1", hold)
    await table.get_by_label("Search").fill("user1")
    await arrived.wait()

    assert await table.locator("#users").evaluate("list => list.inert")
    go_on.set()
    await expect(table.locator("tbody th a")).to_have_count(10)
    assert not await table.locator("#users").evaluate("list => list.inert")


async def test_the_verdict_turns_grey_when_nothing_was_heard_for_two_intervals(page, root):
    """Issue 22: it stayed green while the service hung."""
    await page.clock.install()
    await page.route("**/live", lambda _: asyncio.sleep(0))  # no answer at all, nor a stream
    await log_in(page, root)
    await expect(page.get_by_text("Everything is running")).to_be_visible()

    await page.clock.run_for(25_000)

    await expect(page.get_by_text("State unknown")).to_be_visible()
    await expect(page.get_by_text("Everything is running")).to_be_hidden()
    await expect(page.locator("[data-lost]")).to_contain_text("this data is old")


@pytest.fixture
async def breakable(client, settings, servers) -> AsyncIterator[tuple[str, TcpProxy]]:
    """A service, and the way to its database, which can be closed."""
    async with proxied(settings.database.url.get_secret_value()) as proxy:
        changed = settings.replaced(database={"url": SecretStr(proxy.url)})
        async with running(changed) as app, serving(app) as url:
            yield url, proxy


@pytest.mark.parametrize("view", ["/users/new", "/users", ""])
async def test_an_outage_of_the_database_is_reported_within_two_seconds(
    breakable, open_page, root, watch, view
):
    url, database = breakable
    watch.server = url
    watch.expected |= {"status of 503", "htmx:", "Response Status Error"}
    page = await open_page(base_url=url, viewport=PHONE)
    await log_in(page, root, f"{DASHBOARD}{view}")

    database.close()

    banner = page.locator("[data-outage]")
    await expect(banner).to_contain_text("cannot reach its database", timeout=2_000)
    await expect(banner).to_have_role("alert")


async def test_a_service_that_is_away_is_reported_and_the_notice_ends_with_it(root_page, watch):
    watch.expected |= OFFLINE
    banner = root_page.locator("[data-outage]")
    await expect(banner).to_be_hidden()
    await root_page.context.set_offline(True)
    await expect(banner).to_contain_text("does not answer", timeout=2_000)
    assert await violations(root_page) == []
    await root_page.context.set_offline(False)

    await expect(banner).to_be_hidden()
    await expect(root_page.get_by_text("State unknown")).to_be_hidden()


async def test_a_request_that_is_lost_once_is_no_outage(root_page, watch):
    watch.expected |= {"ERR_CONNECTION_RESET"}
    lost = asyncio.Event()

    async def lose_one(route) -> None:
        if lost.is_set():
            await route.continue_()
        else:
            lost.set()
            await route.abort("connectionreset")

    await root_page.evaluate("""
        window.shown = 0;
        new MutationObserver(() => window.shown++).observe(
            document.querySelector("[data-outage]"), { childList: true });
    """)
    await root_page.route("**/health/ready", lose_one)
    await lost.wait()
    for _ in range(2):
        async with root_page.expect_response("**/health/ready"):
            pass

    assert await root_page.evaluate("window.shown") == 0


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_form_whose_session_ended_comes_back_after_the_login(
    open_page, root, ada, watch, scripts
):
    """Issue 22: it came back empty."""
    watch.expect_status(401)
    page = await open_page(java_script_enabled=scripts)
    await log_in(page, root, f"{USERS}/{ada.id}/edit")
    await page.get_by_label("Full name").fill('Ada "King"')
    await page.get_by_label("Superuser").check()
    await root.post("/auth/logout-all")
    await root.login()

    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("What you typed is kept")).to_be_visible()
    await page.get_by_label("Email or username").fill(root.email)
    await page.get_by_label("Password").fill(root.password)
    await page.get_by_role("button", name="Log in").click()
    if not scripts:
        await page.get_by_role("button", name="Go on with the form").click()

    await expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    await expect(page.get_by_label("Full name")).to_have_value('Ada "King"')
    await expect(page.get_by_label("Superuser")).to_be_checked()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").first).to_have_text("Saved ada")
    user = (await root.get(f"/users/{ada.id}")).json()
    assert (user["full_name"], user["is_superuser"]) == ('Ada "King"', True)


async def test_a_form_is_not_sent_to_a_service_that_does_not_answer(root_page, watch):
    watch.expected |= OFFLINE
    await root_page.goto(f"{USERS}/new")
    await root_page.get_by_label("Full name").fill("Grace")
    await root_page.context.set_offline(True)
    await expect(root_page.get_by_text("The service does not answer")).to_be_visible()

    await root_page.get_by_role("button", name="Create user").click()

    await expect(root_page.get_by_label("Full name")).to_have_value("Grace")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "a page of a proxy", ""),
        (404, "a page of a proxy", ""),
        (503, '{"status": "stopping"}', ""),
        (503, '{"status": "unhealthy"}', "cannot reach its database"),
        (503, '{"error": "service_unavailable"}', "does not answer"),
        (502, "a page of a proxy", "does not answer"),
    ],
)
async def test_only_an_outage_is_reported_as_one(page, root, watch, status, body, words):
    """An instance that stops, in a deployment, serves on."""
    watch.expected |= {f"status of {status}"}
    answered = asyncio.Event()

    async def answer(route) -> None:
        await route.fulfill(status=status, body=body)
        answered.set()

    await page.route("**/health/ready", answer)
    await log_in(page, root)
    await answered.wait()
    async with page.expect_request("**/health/ready"):  # the next one: the answer was read
        pass

    banner = page.locator("[data-outage]")
    assert words in (await banner.text_content() or "")
    assert await banner.is_visible() == bool(words)
