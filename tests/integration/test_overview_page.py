"""The overview without scripts: periods, the queue and mails at a glance, permissions."""

import re
from html import unescape

import httpx
import pytest
from sqlalchemy import text

from app.schemas.monitoring.user_statistics import Period
from app.worker.worker import running_jobs
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_jobs_page import EVERY_STATE
from tests.polling import within_async

__all__ = ["browser"]
MAILS = """
    INSERT INTO mails (id, kind, recipient, state, attempts, reply, created_at)
    SELECT gen_random_uuid(), 'test', 'a…@example.com', state, 1, '', now() - age
    FROM (VALUES
        ('sent', interval '1 hour'), ('sent', interval '23 hours'), ('sent', interval '25 hours'),
        ('failed', interval '0'), ('deferred', interval '25 hours')
    ) AS each (state, age)
"""


def rows(page: httpx.Response) -> dict[str, str]:
    """The text of each row of figures by its title."""
    assert page.status_code == 200, page.text
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.text)
    return {unescape(re.sub("<[^>]*>", "", title)): value for title, value in found}


def links(page: httpx.Response) -> set[str]:
    return {unescape(url).removeprefix(PAGE) for url in re.findall(r'href="([^"]*)"', page.text)}


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


@pytest.mark.parametrize("period", Period)
async def test_the_address_has_the_period_of_the_page_and_of_its_live_part(admin, period):
    page = await admin.get(f"{PAGE}?period={period}")
    url = unescape(re.findall(r'hx-get="([^"]*)"', page.text)[0])
    part = await admin.get(url)

    for answer in (page, part):
        chosen = re.findall(r'<a href="[^"]*" aria-current="true">.*?</span>(.*?)</a>', answer.text)
        assert chosen == [f"{period.number} {period.unit}s"]
        assert answer.text.count('class="chart-catch"') == period.number + 1
    assert {f"?period={other}" for other in ("24h", "7d", "90d")} <= links(page)


@pytest.mark.parametrize(
    ("period", "heading", "note"),
    [
        ("24h", "Last 24 hours, by 10 minutes, UTC", "Of 144 times 10 minutes"),
        ("7d", "Last 7 days, by day, UTC", "Of 7 days 0 are known"),
        ("90d", "Last 90 days, by day, UTC", "as many before 0: nothing is compared"),
    ],
)
async def test_the_traffic_has_the_period_and_says_what_is_not_known(admin, period, heading, note):
    page = await admin.get(f"{PAGE}?period={period}")

    assert heading in page.text
    assert note in page.text
    assert "with the change against" not in page.text


@pytest.mark.parametrize("period", ["1y", "365d", "0", "24h&period=7d"])
@pytest.mark.parametrize("place", [PAGE, f"{PAGE}/live"])
async def test_another_period_is_refused(admin, place, period):
    assert (await admin.get(f"{place}?period={period}")).status_code == 422


async def test_the_queue_and_the_mails_of_a_day_lead_to_their_lists(admin, runtime):
    async with runtime.engine.begin() as connection:
        for statement in (*EVERY_STATE, MAILS):
            await connection.execute(text(statement))

    page = await admin.get(PAGE)

    found = rows(page)
    assert (found["Waiting, due now"], found["Running now"]) == ("1", "1")
    assert found["Failed, to be decided"] == "1"
    assert (found["Sent"], found["Failed"], found["Deferred, tried again"]) == ("2", "1", "0")
    assert {"/jobs?state=waiting", "/jobs?state=failed", "/mail?state=failed"} <= links(page)


async def test_a_worker_is_seen_while_it_runs(admin, runtime):
    count = runtime.operations.workers.count

    assert rows(await admin.get(PAGE))["Workers seen in the last minute"] == "0"
    async with running_jobs(runtime, []):
        assert await within_async(10, count)

    assert await count() == 0


async def test_a_role_sees_what_its_permissions_allow(browser, root, ada):
    role = {"name": "watcher", "permissions": ["stats:read", "metrics:read"]}
    await root.post("/roles", json=role)
    await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": ["watcher"]})
    await log_in(browser, ada)

    page = await browser.get(PAGE)

    assert "Waiting, due now" in rows(page)
    assert "Deferred, tried again" not in rows(page)
    assert not [link for link in links(page) if link.startswith(("/users", "/jobs", "/mail"))]


async def test_traffic_leaves_these_pages_and_probes_out(admin, root, runtime):
    await root.get("/users/me")
    await admin.get(PAGE)
    await admin.get("/health")
    await root.get("/metrics/requests")

    every, product = [
        {
            one.route
            for one in (await runtime.metrics.requests(with_operational=with_operational)).routes
        }
        for with_operational in (True, False)
    ]

    assert PAGE in every
    operational = (PAGE, "/health", "/static", "/api/v1/metrics")
    assert {one for one in product if one.startswith(operational)} <= {f"{PAGE}/stats"}
