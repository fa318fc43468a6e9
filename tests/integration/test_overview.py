"""Data of the overview page."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from app.admin.services.overview import OverviewService
from app.core.cache import CacheMode
from app.models import User
from app.schemas.monitoring.user_statistics import Period, SignUps
from app.services.dashboard import DashboardService
from app.services.user.counts import UserCountService
from tests.conftest import person

ENOUGH = 20.0
"""Seconds for a test, on a busy machine."""


@pytest.fixture
def created(runtime):
    """Move everybody's sign-up, one a moment."""

    async def move(*moments: datetime) -> None:
        async with runtime.session_maker() as db:
            ids = (await db.execute(text("SELECT id FROM users ORDER BY id"))).scalars().all()
            for user_id, moment in zip(ids, moments, strict=True):
                await db.execute(update(User).where(User.id == user_id).values(created_at=moment))
            await db.commit()

    return move


async def sign_ups(dashboard: DashboardService, period: Period) -> SignUps:
    """As counted now."""
    entry = await dashboard.get_sign_ups(period, mode=CacheMode.NO_STORE)
    found = SignUps.model_validate_json(entry.body)
    assert len(found.counts) == period.number + 1
    return found


def seen(found: SignUps) -> dict[datetime, int]:
    """Hours or days with sign-ups."""
    return {one.moment: one.count for one in found.counts if one.count}


@pytest.mark.parametrize("period", Period)
async def test_a_period_has_whole_hours_or_days_of_utc_and_the_current_one(
    runtime, client, ada, bob, root, created, period
):
    await person(client, runtime, "cleo")
    current, step = await current_of(period)
    first = current - period.number * step
    moment = timedelta(microseconds=1)

    await created(current, current - moment, first, first - moment)

    found = await sign_ups(runtime.user_statistics, period)
    assert seen(found) == {first: 1, current - step: 1, current: 1}
    assert (found.total, found.so_far, found.before, found.change) == (2, 1, 1, 1.0)


@pytest.mark.parametrize("period", Period)
async def test_the_period_before_is_as_long_and_survives_a_compaction(
    runtime, ada, root, created, period
):
    current, step = await current_of(period)
    begin = current - 2 * period.number * step

    await created(begin, begin - timedelta(microseconds=1))
    async with runtime.session_maker() as db:
        await UserCountService(db).compact()

    found = await sign_ups(runtime.user_statistics, period)
    assert (found.total, found.before, found.change) == (0, 1, -1.0)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
async def test_the_days_are_those_of_utc_wherever_the_database_thinks_it_is(
    runtime, ada, created, zone
):
    midnight, _ = await current_of(Period.QUARTER)
    await created(midnight)

    async with runtime.session_maker() as db:
        await db.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        found = await sign_ups(DashboardService(lambda: nullcontext(db)), Period.QUARTER)

    assert seen(found) == {midnight: 1}
    assert len({one.moment for one in found.counts}) == Period.QUARTER.number + 1


async def current_of(period: Period) -> tuple[datetime, timedelta]:
    """The beginning of the current hour or day, and its length. Waits for the next hour where that
    is a few seconds away: what a test counts would be of another one."""
    left = 3600 - datetime.now(UTC).timestamp() % 3600
    if left < ENOUGH:
        await asyncio.sleep(left)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if period.unit == "hour":
        return now, timedelta(hours=1)
    return now.replace(hour=0), timedelta(days=1)


@pytest.fixture
def overview(runtime):
    return OverviewService(runtime)


async def test_the_second_view_runs_no_query(overview, root, statements):
    await overview.now()
    statements.clear()

    second = await overview.now()

    assert statements == []
    assert second.stats.figures.total_users == 1
    assert not second.stats.is_stale


async def test_the_first_view_runs_one_query_for_the_figures_and_one_for_the_chart(
    overview, root, statements
):
    statements.clear()

    await overview.now()

    assert len([statement for statement in statements if "user_counts" in statement]) == 2


async def test_the_page_and_the_api_say_the_same_for_as_long(overview, root, client):
    page = (await overview.now()).stats.figures
    await root.post("/users", json={"email": "new@example.com", "password": "tr0ub4dor and 3"})

    api = (await root.get("/dashboard/stats")).json()

    assert page.model_dump(mode="json") == api
