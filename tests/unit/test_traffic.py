"""Percentiles from buckets, and what counters grew by."""

from math import inf

import pytest

from app.admin.drawing.charts import sparkline
from app.core.telemetry.exposition import MetricsSnapshot
from app.core.telemetry.request_counters import RequestCounter
from app.core.telemetry.traffic import added_up, percentile, traffic_by_route


@pytest.mark.parametrize(
    ("buckets", "fraction", "expected"),
    [
        ({1.0: 0, 2.0: 0, inf: 0}, 0.5, None),
        ({}, 0.5, None),
        ({1.0: 10, 2.0: 10, inf: 10}, 0.5, 0.5),  # the first bucket begins at 0
        ({1.0: 0, 2.0: 10, inf: 10}, 0.95, 1.95),
        ({1.0: 50, 2.0: 90, 4.0: 100, inf: 100}, 0.95, 3.0),
        ({1.0: 50, 2.0: 50, inf: 100}, 0.99, 2.0),  # beyond the last bound: that bound
        ({2.0: 5, inf: 10, 1.0: 5}, 0.5, 1.0),  # in any order
    ],
)
def test_percentiles_are_those_of_histogram_quantile(buckets, fraction, expected):
    assert percentile(buckets, fraction) == pytest.approx(expected)


def counted(**statuses: float) -> MetricsSnapshot:
    total = sum(statuses.values())
    labels = (("method", "GET"), ("route", "/"))
    return MetricsSnapshot(
        {
            "http_requests_total": {
                (*labels, ("status", status.lstrip("_"))): count
                for status, count in statuses.items()
            },
            "http_request_duration_seconds_bucket": {
                (("le", "1.0"), *labels): total,
                (("le", "+Inf"), *labels): total,
            },
            "http_requests_in_progress": {(): 3.0},
        }
    )


def test_counters_are_compared_and_gauges_are_not():
    recent = counted(_200=10, _504=2).since(counted(_200=4).counters())

    (traffic,) = traffic_by_route(recent).values()

    assert (traffic.requests, traffic.errors, traffic.having(504)) == (8, 2, 2)
    assert traffic.buckets == {1.0: 8, inf: 8}
    assert recent.total("http_requests_in_progress") == 3


def test_routes_without_recent_requests_are_left_out():
    now = counted(_200=10)

    assert traffic_by_route(now.since(now)) == {}


def test_traffic_adds_up():
    one = traffic_by_route(counted(_200=1, _500=2)).values()
    two = traffic_by_route(counted(_200=3)).values()

    total = added_up([*one, *two])

    assert total.statuses == {"200": 4, "500": 2}
    assert total.buckets == {1.0: 6, inf: 6}


def test_unknown_methods_create_no_series():
    meter = RequestCounter()
    for n in range(100):
        meter.ended(f"M{n}", None, 404, 0.1)
    meter.ended("GET", None, 404, 0.1)

    assert len(meter._known) == 1


@pytest.mark.parametrize(
    ("figures", "path", "top"),
    [
        ([], "", None),
        ([None, None], "", None),
        ([0, 0], "M0 100h1M0 100L1 100", 0),
        ([1, None, 4, 2], "M0 75h1M0 75M2 0h1M2 0L3 50", 4),
    ],
)
def test_a_sparkline_ends_at_the_largest_figure_and_has_gaps(figures, path, top):
    drawn = sparkline(figures)

    assert (drawn.path, drawn.top, drawn.width) == (path, top, len(figures))
    assert top is None or figures[drawn.place] == top
