"""A function for each row: how often to measure goes in, figures come out."""

from collections.abc import Callable, Iterable

from benchmarks.report import Figure
from benchmarks.rows import (
    bulk,
    cached,
    counts,
    footprint,
    jobs,
    lists,
    logins,
    million,
    peer,
    scenarios,
)

ROWS: dict[str, Callable[[int], Iterable[Figure]]] = {
    "P1": counts.measure,
    "P2": cached.measure_statistics,
    "P3": cached.measure_who_am_i,
    "P4": lists.measure,
    "P5": million.measure,  # and P6 and P9, on the same million users
    "P7": bulk.measure,
    "P8": logins.measure,
    "P10": footprint.measure,
    "P11": scenarios.measure,
    "P12": cached.measure_key,
    "P13": jobs.measure_enqueueing,
    "P14": jobs.measure_running,
    "peer": peer.measure,
}
