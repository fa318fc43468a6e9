"""What the planner expects of a query, which costs no more than planning it."""

from typing import Any

from sqlalchemy import ClauseElement, Executable, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.database.reads import Reads


class _Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(_Explained)
def _compile(explained: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(explained.query, **options)}"


async def expected_rows(reads: Reads, query: Select[Any]) -> int:
    """About how many rows `query` has, by the statistics of its tables."""
    ((plan,),) = await reads.rows(_Explained(query))
    rows: int = plan[0]["Plan"]["Plan Rows"]
    return rows
