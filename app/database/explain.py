"""The planner's estimate of a query, which costs no more than planning it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Executable, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.database.reads import Reads


@dataclass(frozen=True, slots=True)
class PlanEstimate:
    """The planner's estimate of a query.

    Attributes:
        rows: number of rows, by the statistics of its tables.
        cost: of all of them, where 1 is a page read in order.
        reads_a_table: from its first row to its last, for want of an index.
    """

    rows: int
    cost: float
    reads_a_table: bool


class _Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(_Explained)
def _compile(explained: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(explained.query, **options)}"


async def estimate(reads: Reads, query: Select[Any]) -> PlanEstimate:
    """Plan `query` without running it."""
    ((explained,),) = await reads.rows(_Explained(query))
    plan = explained[0]["Plan"]
    kinds = {node["Node Type"] for node in _nodes(plan)}
    return PlanEstimate(plan["Plan Rows"], plan["Total Cost"], "Seq Scan" in kinds)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
