"""The admin page as people see it."""

import pytest
from playwright.async_api import Locator, Page, expect
from sqlalchemy import update

from app.models import Session
from tests.browser.conftest import DASHBOARD, PHONE, log_in, overflow, violations

CARDS = (
    "total_users",
    "active_users",
    "inactive_users",
    "superusers",
    "new_users_today",
    "new_users_week",
)
VIEWS = {"login": DASHBOARD, "overview": DASHBOARD, "not found": f"{DASHBOARD}/nothing"}


async def is_renewed(updated: Locator, before: str | None) -> None:
    """Wait for figures of a later moment, which follow every five seconds on an idle machine."""
    await expect(updated).not_to_have_attribute("datetime", before or "", timeout=30_000)


async def show(page: Page, view: str, watch, root) -> None:
    """One of VIEWS."""
    if view == "not found":
        watch.expect_status(404)
    if view == "overview":
        await log_in(page, root)
    else:
        await page.goto(VIEWS[view])


async def test_logging_in_leads_to_the_overview(page, root):
    await log_in(page, root)

    await expect(page.get_by_text("Everything is running")).to_be_visible()
    await expect(page.get_by_text(root.email)).to_be_visible()


async def test_a_wrong_password_is_reported_and_the_name_stays_filled(page, root, watch):
    watch.expect_status(401)

    await log_in(page, root, password="wrong")

    await expect(page.get_by_role("alert")).to_have_text("Incorrect email or password")
    await expect(page.get_by_label("Email or username")).to_have_value(root.email)
    await expect(page.get_by_label("Password")).to_be_focused()


async def test_a_plain_user_reads_that_the_pages_are_for_superusers(page, ada, watch):
    watch.expect_status(403)

    await log_in(page, ada)

    await expect(page.get_by_role("alert")).to_have_text("Your account may not use these pages")


async def test_each_card_shows_what_the_api_says(page, root, ada, bob):
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    await log_in(page, root)

    stats = (await root.get("/dashboard/stats")).json()

    for name in CARDS:
        await expect(page.locator(f"[data-figure={name}]")).to_have_text(str(stats[name]))
    assert [stats[name] for name in CARDS] == [3, 2, 1, 1, 3, 3]


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ("Total", ["bob", "ada", "root"]),
        ("Active", ["ada", "root"]),
        ("Inactive", ["bob"]),
        ("Superusers", ["root"]),
    ],
)
async def test_a_card_leads_to_the_users_that_it_counts(page, root, ada, bob, card, names):
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    await log_in(page, root)
    figure = page.locator(".card").filter(has=page.get_by_role("link", name=card, exact=True))
    count = await figure.locator(".figure").text_content()

    await figure.click()

    await expect(page.locator("tbody th a")).to_have_text(names)
    assert count == str(len(names))


async def test_a_session_that_was_ended_elsewhere_ends_with_the_next_click(root_page, root):
    await root_page.goto(f"{DASHBOARD}/users")  # the overview would go to the login by itself
    sessions = (await root.get("/auth/sessions")).json()["items"]
    for session in sessions:
        if not session["is_current"]:
            await root.delete(f"/auth/sessions/{session['id']}")

    await root_page.get_by_role("link", name="Overview").click()

    await expect(root_page.get_by_role("alert")).to_contain_text("Your session has ended")


async def test_an_expired_session_leads_to_the_login_and_back(root_page, root, runtime):
    await root_page.goto(f"{DASHBOARD}/users")  # as above
    async with runtime.session_maker() as db:
        await db.execute(update(Session).values(expires_at=Session.created_at))
        await db.commit()
    await runtime.cache.redis.flushdb()
    place = f"{DASHBOARD}/users?search=here"

    await root_page.goto(place)
    told = await root_page.get_by_role("alert").text_content()
    await log_in(root_page, root, place)

    assert told == "Your session has ended: log in again"
    assert root_page.url.endswith(place)


async def test_logging_out_leads_to_the_login(root_page, root):
    await root_page.get_by_role("button", name="Log out").click()

    await expect(root_page.get_by_role("status")).to_have_text("You are logged out")
    assert len((await root.get("/auth/sessions")).json()["items"]) == 1


async def test_the_overview_renews_itself_and_leaves_the_reader_alone(root_page):
    updated = root_page.locator(".updated time")
    summary = root_page.get_by_text("Show as a table")
    await summary.click()
    note = root_page.locator(".card-note").first
    await note.select_text()

    for _ in range(2):  # a stream
        before = await updated.get_attribute("datetime")
        await is_renewed(updated, before)

    await expect(root_page.get_by_role("cell", name="1", exact=True).first).to_be_visible()
    await expect(summary).to_be_focused()
    assert await root_page.evaluate("String(getSelection())") == "accounts"
    await expect(root_page.locator("#announcer")).to_be_empty()


async def test_without_a_stream_the_overview_asks_by_itself(page, root, watch):
    """A proxy that holds the stream back, as one that buffers does."""
    asked: list[str] = []

    async def hold(route) -> None:
        if "event-stream" in (await route.request.all_headers())["accept"]:
            asked.append("stream")
        else:
            asked.append("part")
            await route.continue_()

    await page.route("**/live", hold)
    await log_in(page, root)
    updated = page.locator(".updated time")
    before = await updated.get_attribute("datetime")
    await page.locator("[data-live]").evaluate("live => { live.dataset.every = 0.5 }")

    await is_renewed(updated, before)

    assert asked[:2] == ["stream", "part"]
    await page.unroute_all(behavior="ignoreErrors")


async def test_a_stream_ends_with_the_session_and_leads_to_the_login(root_page, root):
    await root.post("/auth/logout-all")

    told = root_page.get_by_role("alert")
    await expect(told).to_contain_text("Your session has ended", timeout=30_000)


async def test_data_that_cannot_be_refreshed_is_marked_as_old(root_page, watch):
    watch.expected |= {"ERR_INTERNET_DISCONNECTED", "htmx:"}
    await root_page.context.set_offline(True)

    await root_page.evaluate("htmx.trigger('[data-live]', 'look')")

    await expect(root_page.locator("[data-lost]")).to_be_visible()
    await expect(root_page.locator("#announcer")).to_contain_text("this data is old")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_theme_is_the_systems_until_one_is_chosen(open_page, root, scheme):
    page = await open_page(color_scheme=scheme)
    await log_in(page, root)

    async def ground() -> int:
        colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    first = await ground()
    await page.get_by_role("button", name="Dark theme").click()
    chosen = await ground()
    await page.reload()
    remembered = await ground()

    assert (first < 200) == (scheme == "dark")
    assert (chosen < 200) == (scheme == "light")
    assert remembered == chosen


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(open_page, root, watch, view, scheme):
    page = await open_page(color_scheme=scheme)
    await show(page, view, watch, root)
    for details in await page.locator("summary").all():
        await details.click()

    assert await violations(page) == []


@pytest.mark.parametrize("view", VIEWS)
async def test_a_phone_need_not_scroll_sideways(open_page, root, watch, view):
    page = await open_page(viewport=PHONE, has_touch=True)
    await show(page, view, watch, root)

    assert await overflow(page) == 0


async def test_the_keyboard_is_enough(page, root):
    await page.goto(DASHBOARD)

    await page.keyboard.type(root.email)  # the first field has the focus
    await page.keyboard.press("Tab")
    await page.keyboard.type(root.password)
    await page.keyboard.press("Enter")
    await page.wait_for_url(DASHBOARD)
    await expect(page.get_by_role("heading", name="Overview")).to_be_attached()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.locator("#main")).to_be_focused()


async def test_all_of_it_works_without_scripts(open_page, root):
    page = await open_page(java_script_enabled=False)

    await log_in(page, root)
    await expect(page.get_by_text("Everything is running")).to_be_visible()
    await page.get_by_text("Show as a table").click()
    days = page.get_by_role("region", name="Sign-ups per day")
    await expect(days.get_by_role("cell", name="1")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()

    await expect(page.get_by_role("status")).to_have_text("You are logged out")
    await expect(page.get_by_role("button", name="Dark theme")).to_have_count(0)


async def test_a_hidden_tab_sends_no_requests(root_page):
    """A tab in the background: `document.hidden` is all that the page goes by."""
    hide = """(is) => {
        Object.defineProperty(document, 'hidden', {value: is, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    asked: list[str] = []
    await root_page.evaluate(hide, arg=True)
    root_page.on("request", lambda request: asked.append(request.url))

    await root_page.evaluate("htmx.trigger('[data-live]', 'look')")
    await root_page.locator("[data-live]").evaluate("live => { live.dataset.every = '0.1' }")
    await root_page.evaluate("new Promise((done) => setTimeout(done, 2500))")  # two looks
    while_hidden = [url for url in asked if "/live" in url]
    updated = root_page.locator(".updated time")
    before = await updated.get_attribute("datetime")
    await root_page.evaluate(hide, arg=False)

    await is_renewed(updated, before)
    assert while_hidden == []
