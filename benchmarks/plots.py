"""How far each target was reached, as a picture for docs/PERFORMANCE.md."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure as Canvas

from benchmarks.report import PAGE, Figure

PICTURE = PAGE.parent / "images" / "targets.svg"
_REACHED, _MISSED = "#2f7d5b", "#b4532a"


def draw(figures: Iterable[Figure], picture: Path = PICTURE) -> None:
    """A bar for each figure that has a target: above 1 it is reached. The scale is logarithmic."""
    aimed = [figure for figure in figures if figure.verdict]
    parts = [_part(figure) for figure in aimed]
    canvas = Canvas(figsize=(9, 0.32 * len(aimed) + 0.8), layout="constrained")
    axes = canvas.add_subplot()
    colors = [_REACHED if part >= 1 else _MISSED for part in parts]
    axes.barh([f"{figure.row} {figure.name}" for figure in aimed], parts, color=colors, log=True)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("part of the target that was reached")
    axes.tick_params(labelsize=8)
    picture.parent.mkdir(exist_ok=True)
    canvas.savefig(picture, metadata={"Date": None})


def _part(figure: Figure) -> float:
    if figure.least is not None:
        return figure.median / figure.least
    assert figure.most is not None  # noqa: S101  # it has a verdict, so it has one of them
    return figure.most / figure.median
