"""Figures with their spread and their targets, as a table on the screen and in the docs."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "PERFORMANCE.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PACKAGES = ("fastapi", "starlette", "uvicorn", "sqlalchemy", "asyncpg", "redis", "pydantic")


@dataclass(frozen=True)
class Figure:
    """Something measured several times.

    Attributes:
        row: of the table of targets, such as `P2`.
        samples: one for each run.
        unit: of the samples.
        least: the target, where more is better.
        most: the target, where less is better.
        note: what the target is made of, where it was measured as well.
    """

    row: str
    name: str
    samples: Sequence[float]
    unit: str = ""
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """Whether the median reaches the target; empty where there is none."""
        if self.least is None and self.most is None:
            return ""
        is_reached = (self.least is None or self.median >= self.least) and (
            self.most is None or self.median <= self.most
        )
        return "reached" if is_reached else "missed"

    def cells(self) -> tuple[str, ...]:
        target = (
            f"≥ {_short(self.least)}"
            if self.least is not None
            else f"≤ {_short(self.most)}"
            if self.most is not None
            else ""
        )
        spread = f"{_short(min(self.samples))} to {_short(max(self.samples))}"
        median = f"{_short(self.median)} {self.unit}".strip()
        return self.row, self.name, median, spread, target, self.verdict, self.note


HEAD = ("row", "figure", "median", "spread", "target", "", "note")


def _short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> str:
    """What all of it was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, {packages}; "
        "load generator, servers and application on the same cores."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def show(figures: Iterable[Figure]) -> None:
    table = Table(*HEAD)
    for figure in figures:
        table.add_row(*figure.cells())
    Console(width=140).print(table)


def write(figures: Iterable[Figure]) -> None:
    """Put the table into docs/PERFORMANCE.md, in the place of the last one."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    lines += ["| " + " | ".join(figure.cells()) + " |" for figure in figures]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN, machine(), "", *lines, END]) + after)
