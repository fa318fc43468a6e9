"""Statistics of the queue: jobs by kind and state, outcomes so far, durations."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_STATES = text("""
    SELECT entrypoint, state, count(*), max(age)
    FROM (
        SELECT entrypoint,
            CASE
                WHEN status = 'picked' THEN 'running'
                WHEN status = 'failed' THEN 'failed'
                WHEN execute_after > now() THEN 'delayed'
                ELSE 'waiting'
            END AS state,
            extract(epoch FROM now() - execute_after)::float AS age
        FROM pgqueuer
    ) AS job
    GROUP BY entrypoint, state
""")
# The workers add up their events twice a minute; the rest is counted here.
_EVENTS = text("""
    SELECT entrypoint, status::text, sum(count)::bigint
    FROM (
        SELECT entrypoint, status, count FROM pgqueuer_statistics
        UNION ALL SELECT entrypoint, status, 1 FROM pgqueuer_log WHERE NOT aggregated
    ) AS event
    GROUP BY entrypoint, status
""")
_DURATIONS = text("""
    SELECT entrypoint, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration)
    FROM (
        SELECT entrypoint, status, lag(status) OVER job AS before,
            extract(epoch FROM created - lag(created) OVER job)::float AS duration
        FROM pgqueuer_log WHERE created > now() - interval '5 minutes'
        WINDOW job AS (PARTITION BY job_id ORDER BY id)
    ) AS event
    WHERE before = 'picked' AND status <> 'picked'
    GROUP BY entrypoint
""")

Key = tuple[str, str]


class JobStatistics(NamedTuple):
    """Statistics of all workers at one moment.

    Attributes:
        states: jobs by kind and state: waiting, delayed, running, failed.
        ages: seconds by kind that the oldest waiting job could have been run already.
        events: events so far by kind and pgqueuer's status.
    """

    states: dict[Key, int]
    ages: dict[str, float]
    events: dict[Key, int]

    def count_in(self, state: str) -> int:
        """Jobs in a state, of all kinds."""
        return sum(count for (_, found), count in self.states.items() if found == state)


async def job_statistics(engine: AsyncEngine) -> JobStatistics:
    """Read the statistics.

    Raises:
        Exception: any error of the connection or a query.
    """
    async with engine.connect() as connection:
        states = (await connection.execute(_STATES)).all()
        events = (await connection.execute(_EVENTS)).all()
    return JobStatistics(
        {(kind, state): count for kind, state, count, _ in states},
        {kind: age for kind, state, _, age in states if state == "waiting"},
        {(kind, status): count for kind, status, count in events},
    )


async def job_durations(engine: AsyncEngine) -> dict[str, list[float]]:
    """By kind, the 50th, 95th and 99th percentile of the attempts of the last five minutes, in
    seconds. At thousands of jobs a second it takes seconds itself.

    Raises:
        Exception: any error of the connection or the query.
    """
    async with engine.connect() as connection:
        durations = (await connection.execute(_DURATIONS)).all()
    return {kind: list(values) for kind, values in durations}
