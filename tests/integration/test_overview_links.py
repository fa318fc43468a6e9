"""Cards and columns of the overview lead to the users that they count."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlsplit

import pytest
from sqlalchemy import insert

from app.models import User
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_roles import give

__all__ = ["browser"]
HOURS = (1, 5, 30, 6 * 24, 8 * 24, 29 * 24, 40 * 24)
"""Ages of users."""


@pytest.fixture
async def aged(root: Person, runtime) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(
            insert(User),
            [
                {
                    "email": f"old{hours}@example.com",
                    "username": f"old{hours}",
                    "hashed_password": "",
                    "created_at": datetime.now(UTC) - timedelta(hours=hours),
                    "is_active": hours != 30,
                }
                for hours in HOURS
            ],
        )


async def total(root: Person, url: str) -> int:
    """Of the list that a link leads to."""
    response = await root.get(f"/users?{urlsplit(unescape(url)).query}")
    assert response.status_code == 200, response.text
    return int(response.json()["total"])


async def test_each_card_leads_to_as_many_users_as_it_says(browser, root, aged):
    await log_in(browser, root)
    page = (await browser.get(PAGE)).text
    cards = re.findall(
        r'<dt><a href="([^"]*users[^"]*)">([^<]*)</a></dt>.*?data-figure="\w+">([\d,]+)<',
        page,
        re.DOTALL,
    )

    assert [title for _, title, _ in cards] == [
        *("Total", "Active", "Inactive", "Superusers", "New today", "New this week")
    ]
    for url, title, figure in cards:
        assert await total(root, url) == int(figure), title


@pytest.mark.parametrize("period", ["24h", "30d"])
async def test_each_column_and_its_row_lead_to_as_many_users_as_they_say(
    browser, root, aged, period
):
    await log_in(browser, root)
    page = (await browser.get(f"{PAGE}?period={period}")).text
    columns = re.findall(
        r'<a href="([^"]*)" tabindex="-1"><g[^>]*><title>[^<]*: (\d+)(?: so far)?</title>', page
    )
    rows = re.findall(r'<th scope="row"><a href="([^"]*)">.*?<td class="num">(\d+)</td>', page)

    assert columns == rows[::-1]
    assert len(columns) == {"24h": 25, "30d": 31}[period]
    counted = [(url, int(count)) for url, count in columns]
    assert sum(count for _, count in counted) == {"24h": 3, "30d": 7}[period]
    some = [one for one in counted if one[1]] + [one for one in counted if not one[1]][:2]
    for url, count in some:
        assert await total(root, url) == count, url


async def test_those_who_may_not_list_users_get_no_links(browser, root, ada, aged):
    await give(root, ada, "stats:read", "metrics:read")
    await log_in(browser, ada)

    page = await browser.get(PAGE)

    assert "<title>Overview" in page.text
    assert f"{PAGE}/users" not in page.text
