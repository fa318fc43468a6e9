"""The figures of background jobs in Prometheus' format."""

from math import isnan

import pytest
from sqlalchemy import text

from app.cli import doctor
from tests.workers import Scrape

JOBS = """
    INSERT INTO pgqueuer (priority, status, entrypoint, execute_after)
    SELECT 0, status::pgqueuer_status, 'counted', now() + make_interval(secs => due)
    FROM (VALUES ('queued', -90), ('queued', -5), ('queued', 60), ('picked', -1), ('failed', -9))
        AS job (status, due)
"""
EVENTS = """
    INSERT INTO pgqueuer_log (job_id, priority, status, entrypoint, created, aggregated)
    SELECT id, 0, status::pgqueuer_status, 'counted', now() - make_interval(secs => ago), false
    FROM (VALUES (1, 'queued', 9), (1, 'picked', 8), (1, 'successful', 6),
        (2, 'queued', 9), (2, 'picked', 7), (2, 'failed', 3)) AS event (id, status, ago)
"""
SUMS = """
    INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
    VALUES ('epoch', 40, 0, 'successful', 'counted'), ('epoch', 50, 0, 'picked', 'counted')
"""


@pytest.fixture
async def scrape(root, runtime):
    async def scrape() -> Scrape:
        response = await root.get("/metrics/prometheus")
        assert response.status_code == 200
        return Scrape(response.text)

    async with runtime.engine.begin() as connection:
        for statement in (JOBS, EVENTS, SUMS):
            await connection.execute(text(statement))
    return scrape


async def test_jobs_are_counted_by_kind_and_state(scrape):
    figures = await scrape()

    states = {
        state: figures.value("jobs", kind="counted", state=state)
        for state in ("waiting", "delayed", "running", "failed")
    }
    assert states == {"waiting": 2, "delayed": 1, "running": 1, "failed": 1}


async def test_the_age_of_the_oldest_job_counts_from_when_it_was_due(scrape):
    figures = await scrape()

    assert 90 <= figures.value("jobs_oldest_seconds", kind="counted") < 120


async def test_outcomes_and_attempts_are_counted_whether_they_were_added_up_or_not(scrape):
    figures = await scrape()

    assert figures.value("jobs_ended", kind="counted", outcome="done") == 41
    assert figures.value("jobs_ended", kind="counted", outcome="failed") == 1
    assert figures.value("jobs_ended", kind="counted", outcome="cancelled") == 0
    assert figures.value("job_attempts", kind="counted") == 52


async def test_durations_are_those_of_attempts(scrape):
    figures = await scrape()

    middle = figures.value("job_duration_seconds", kind="counted", percentile="p50")
    assert middle == pytest.approx(3, abs=0.1)


async def test_a_kind_without_jobs_falls_to_zero(scrape, runtime):
    await scrape()
    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer, pgqueuer_log"))

    figures = await scrape()

    assert figures.value("jobs", kind="counted") == 0
    assert figures.value("jobs_oldest_seconds", kind="counted") == 0
    assert isnan(figures.value("job_duration_seconds", kind="counted", percentile="p50"))


async def test_figures_that_cannot_be_read_are_missing_and_all_others_are_there(scrape, runtime):
    await scrape()
    async with runtime.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE pgqueuer RENAME TO elsewhere"))
    try:
        figures = await scrape()
    finally:
        async with runtime.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO pgqueuer"))

    assert isnan(figures.value("jobs", kind="counted"))
    assert figures.value("database_server_connections") > 0


async def test_the_doctor_asks_for_a_worker_where_jobs_have_been_due_for_long(scrape, runtime):
    early = await doctor._jobs(runtime)
    async with runtime.engine.begin() as connection:
        late = "UPDATE pgqueuer SET execute_after = now() - interval '10 minutes'"
        await connection.execute(text(late))

    late_finding = await doctor._jobs(runtime)

    assert early == doctor.Finding("background jobs", "2 waiting, 1 failed")
    assert "backend worker" in late_finding.advice
