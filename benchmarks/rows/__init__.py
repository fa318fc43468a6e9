"""A function for each row: how often to measure goes in, figures come out."""

from collections.abc import Callable, Iterable

from benchmarks.report import Figure
from benchmarks.rows import cached, counts, footprint, logins, scenarios

ROWS: dict[str, Callable[[int], Iterable[Figure]]] = {
    "P1": counts.measure,
    "P2": cached.measure_statistics,
    "P3": cached.measure_who_am_i,
    "P8": logins.measure,
    "P10": footprint.measure,
    "P11": scenarios.measure,
}
