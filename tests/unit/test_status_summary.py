"""The sentences about the state of the service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.admin.services.overview import status_summary
from app.schemas.monitoring.health import HealthSchema

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BEGAN = datetime(2026, 11, 21, 9, 12, tzinfo=UTC)


def told(status: str = "healthy", **failing: str) -> str:
    """The summary while checks fail for these reasons, since 09:12 all of them."""
    return status_summary(readiness(status, failing), lambda _: BEGAN, NOW).sentences[0]


def readiness(status: str, failing: dict[str, str]) -> HealthSchema:
    checks: dict[str, Any] = {
        name: {
            "status": "unhealthy" if name in failing else "healthy",
            "latency_ms": 1.0,
            "error": failing.get(name),
        }
        for name in ("database", "cache", "rate_limiter")
    }
    return HealthSchema.model_validate(
        {"status": status, "app_name": "x", "version": "1", "checks": checks}
    )


def test_without_failures_everything_is_running():
    assert told() == "Everything is running"


def test_redis_is_away_as_a_whole():
    assert told("degraded", cache="timeout", rate_limiter="timeout") == (
        "Redis has been unreachable since 09:12 UTC (timeout): responses are not cached, "
        "and each process counts rate limits separately."
    )


@pytest.mark.parametrize(
    ("check", "words"),
    [("cache", "The Redis of the cache"), ("rate_limiter", "The Redis of the rate limiter")],
)
def test_one_of_two_redis_is_away(check, words):
    assert told("degraded", **{check: "connection refused"}).startswith(
        f"{words} has been unreachable since 09:12 UTC (connection refused): "
    )


def test_the_database_comes_first():
    failing = {"cache": "timeout", "rate_limiter": "timeout", "database": "timeout"}

    both = status_summary(readiness("unhealthy", failing), lambda _: BEGAN, NOW)

    assert both.state == "unhealthy"
    assert [sentence.split()[:2] for sentence in both.sentences] == [
        ["The", "database"],
        ["Redis", "has"],
    ]


def test_an_outage_since_another_day_shows_the_date():
    found, yesterday = readiness("unhealthy", {"database": "timeout"}), BEGAN - timedelta(days=1)

    words = status_summary(found, lambda _: yesterday, NOW).sentences[0]

    assert "since 20 November, 09:12 UTC" in words


def test_a_database_that_takes_no_writes_is_not_unreachable():
    assert told("unhealthy", database="read-only") == (
        "The database has not accepted changes since 09:12 UTC (read-only): existing data can be "
        "read."
    )
