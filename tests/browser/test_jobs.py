"""The pages of jobs as people see them."""

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from tests.browser.conftest import DASHBOARD, assert_accessible, log_in
from tests.conftest import browsing
from tests.integration.test_jobs_page import EVERY_STATE

JOBS = f"{DASHBOARD}/jobs"
VIEWS = {
    "failed": JOBS,
    "done": f"{JOBS}?state=done",
    "none": f"{JOBS}?state=running&kind=greet",
    "job": f"{JOBS}/2",
    "confirm": f"{JOBS}/confirm?action=cancel&id=2&id=4",
}


@pytest.fixture
async def jobs(app, root, runtime, page: Page) -> None:
    """Jobs of every state, one with a long reason, and no other: the browser is no new device of
    `root`, of which a mail would tell."""
    credentials = {"email": root.email, "password": root.password}
    agent = {"User-Agent": await page.evaluate("navigator.userAgent")}
    async with browsing(app, "127.0.0.1") as earlier:
        login = await earlier.post("/api/v1/auth/login", json=credentials, headers=agent)
    assert login.status_code == 200
    long = "INSERT INTO pgqueuer_log (job_id, priority, status, entrypoint, traceback) VALUES "
    reason = '{"exception_message": "' + "OSError: no way " * 30 + '"}'
    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer, pgqueuer_log RESTART IDENTITY"))
        for statement in [*EVERY_STATE, f"{long} (4, 0, 'failed', 'greet', '{reason}')"]:
            await connection.execute(text(statement))


@pytest.fixture
async def table(page: Page, root, jobs) -> Page:
    """The table of failed jobs, `root` being logged in."""
    await log_in(page, root, JOBS)
    return page


async def test_the_navigation_leads_to_the_jobs(root_page):
    await root_page.get_by_role("link", name="Jobs").click()

    await expect(root_page.get_by_role("heading", name="Jobs")).to_be_visible()
    await expect(root_page.get_by_text("No jobs match.")).to_be_visible()


async def test_another_state_is_shown_as_soon_as_it_is_chosen(table):
    await table.get_by_label("State").select_option("Delayed")

    await expect(table.locator("tbody th a")).to_have_text("2")
    await table.wait_for_url(f"**{JOBS}?state=delayed")


async def test_a_failed_job_is_chosen_and_retried(table):
    await table.get_by_label("Select job 4").check()
    await table.get_by_role("button", name="Retry").click()
    await table.get_by_role("button", name="Retry job 4").click()

    await expect(table.get_by_role("status").first).to_have_text("Retried 1 job")
    await expect(table.get_by_text("No jobs match.")).to_be_visible()


async def test_a_job_is_cancelled_from_its_own_page(table):
    await table.get_by_role("link", name="4").click()
    await table.get_by_role("button", name="Cancel").click()
    await table.get_by_role("button", name="Cancel job 4").click()

    await expect(table.get_by_role("status").first).to_have_text("Cancelled 1 job")


async def test_the_pages_work_without_scripts(open_page, root, jobs):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, JOBS)

    await page.get_by_label("State").select_option("Done")
    await page.get_by_role("button", name="Show").click()

    await expect(page.locator("tbody th a")).to_have_text("5")


@pytest.mark.parametrize("view", VIEWS)
async def test_the_view_is_accessible_and_fits_a_phone(open_page, root, jobs, view):
    await assert_accessible(open_page, root, VIEWS[view])
