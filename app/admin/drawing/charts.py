"""Geometry of charts: positions and sizes, which a template draws as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 100.0
"""Units of the drawing, which is as high and as wide as its frame: see the template."""
GAP = 0.28
"""Part of a column's width that is left free beside it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A rectangle, in units: a column is one wide."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Columns:
    """A column chart.

    Attributes:
        top: the figure that the highest line stands for.
        width: units across.
    """

    columns: list[Column]
    top: int
    width: int


def columns(counts: Sequence[int]) -> Columns:
    """One column for each count, the scale ending at a round figure."""
    top = round_up(max(counts, default=0))
    drawn = []
    for place, count in enumerate(counts):
        height = round(HEIGHT * count / top, 2)
        if count:
            height = max(height, 1.0)  # one among thousands is visible as well
        drawn.append(Column(round(place + GAP / 2, 2), round(HEIGHT - height, 2), 1 - GAP, height))
    return Columns(drawn, top, len(counts))


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line without axes.

    Attributes:
        path: of SVG; interrupted where there is no figure.
        top: the largest figure; None where there is none.
        place: of `top`.
        width: units across.
    """

    path: str
    top: float | None
    place: int
    width: int


def sparkline(figures: Sequence[float | None]) -> Sparkline:
    """A line through the figures, one unit apart, from 0 to the largest one."""
    known = [(figure, place) for place, figure in enumerate(figures) if figure is not None]
    top, place = max(known, key=lambda one: one[0], default=(None, 0))
    parts = []
    before = None
    for figure, at in known:
        y = round(HEIGHT - HEIGHT * figure / top, 1) if top else HEIGHT
        # A figure alone is a line as well, a unit long.
        parts.append(f"L{at} {y:g}" if before == at - 1 else f"M{at} {y:g}h1M{at} {y:g}")
        before = at
    return Sparkline("".join(parts), top, place, len(figures))


def round_up(count: int) -> int:
    """The next of 4, 10, 20, 40, 60, 80, 100, 200, …: it can be halved."""
    step = 1
    while True:
        for digit in (2, 4, 6, 8, 10):
            if count <= digit * step and digit * step >= 4:
                return digit * step
        step *= 10
