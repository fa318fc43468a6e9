"""Reads users by the page."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select

from app.database import Expected, Reads, expect
from app.models import User
from app.repositories.user import queries
from app.repositories.user.queries import Part

Rows = Sequence[Row[Any]]


class UserListRepository:
    """Runs what `UserRepository.get_filtered_users` asks for, a part at a time.

    Each part is asked for in the order that its query has.

    Args:
        reads: runs the statements; each sees the database as it is then.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def slice(self, query: Select[User], part: Part) -> Rows:
        """Some rows, of what others may see."""
        return await self._reads.rows(queries.page(queries.cut(query, part)), part.parameters)

    async def slice_and_count(
        self, query: Select[User], part: Part, up_to: int
    ) -> tuple[Rows, int]:
        """Such rows, and how many rows there are in all, not counting beyond `up_to`: in one query,
        which costs a round trip and the work around it only once."""
        query = queries.cut(query, part)
        return await self._counted(queries.page_and_count(query, up_to), query, part, up_to)

    async def collect(self, query: Select[User], part: Part, up_to: int) -> tuple[Rows, int]:
        """The same by another way: all of them are looked up first, which are few by expectation.

        Where `up_to` are found there are more: the rows are any, and not the first.
        """
        query = queries.cut(query, part)
        collected = queries.collected_page_and_count(query, part.sort_by, part.sort_order, up_to)
        return await self._counted(collected, query, part, up_to)

    async def _counted(
        self, paged: Select[Any], query: Select[User], part: Part, up_to: int
    ) -> tuple[Rows, int]:
        rows = await self._reads.rows(paged, part.parameters)
        if not rows:  # and so none that carries the count
            return [], await self.count(query, up_to) if part.offset else 0
        return rows, rows[0][-1]

    async def count(self, query: Select[User], up_to: int | None = None) -> int:
        """How many rows `query` has, and not more than `up_to`, where it stops."""
        ((count,),) = await self._reads.rows(queries.counted(query, up_to))
        return int(count)

    async def expect(self, query: Select[User]) -> Expected:
        """What it takes to look up all rows of `query`, and about how many there are."""
        return await expect(self._reads, query.with_only_columns(User.id).order_by(None))
