"""Data of the overview page."""

from contextlib import nullcontext
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import text, update

from app.admin.services.overview import OverviewService
from app.core.cache import CacheMode
from app.models import User
from app.schemas.monitoring.user_statistics import SignUps
from app.services.dashboard import CHART_DAYS, DashboardService


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


async def uncached_sign_ups(dashboard: DashboardService) -> SignUps:
    entry = await dashboard.get_sign_ups(mode=CacheMode.NO_STORE)
    return SignUps.model_validate_json(entry.body)


async def sign_ups(runtime) -> dict[str, int]:
    """Days on which there were any."""
    chart = await uncached_sign_ups(runtime.user_statistics)
    assert len(chart.days) == CHART_DAYS
    return {one.day.isoformat(): one.count for one in chart.days if one.count}


async def test_the_chart_has_a_day_for_each_of_thirty_days_in_utc(runtime, ada, bob, root, created):
    today = datetime.now(UTC).date()
    midnight = datetime.combine(today, time(), UTC)
    first = midnight - timedelta(days=CHART_DAYS - 1)

    await created(midnight, midnight - timedelta(microseconds=1), first)

    assert await sign_ups(runtime) == {
        (today - timedelta(days=29)).isoformat(): 1,
        (today - timedelta(days=1)).isoformat(): 1,
        today.isoformat(): 1,
    }


async def test_users_created_before_the_period_are_not_counted(runtime, ada, root, created):
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)

    await created(midnight, midnight - timedelta(days=CHART_DAYS - 1, microseconds=1))

    assert list((await sign_ups(runtime)).values()) == [1]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
async def test_the_days_are_those_of_utc_wherever_the_database_thinks_it_is(
    runtime, ada, created, zone
):
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    await created(midnight)

    async with runtime.session_maker() as db:
        await db.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        chart = await uncached_sign_ups(DashboardService(lambda: nullcontext(db)))

    assert chart.days[-1].count == 1
    assert len({one.day for one in chart.days}) == CHART_DAYS


@pytest.fixture
def overview(runtime):
    database = runtime.settings.database
    return OverviewService(runtime.user_statistics, runtime.health, runtime.metrics, database)


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
