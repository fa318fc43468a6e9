"""Reads users by the page."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select

from app.core.cursor import Position
from app.database import Reads, expected_rows
from app.models import User
from app.repositories import user_queries as queries


class UserListRepository:
    """Runs what `UserRepository.get_filtered_users` asks for, a page at a time.

    Args:
        reads: runs the statements; each sees the database as it is then.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def slice(self, query: Select[User], limit: int, offset: int = 0) -> Sequence[Row[Any]]:
        """Some rows, of what others may see."""
        return await self._reads.rows(queries.page(query), {"limit": limit, "offset": offset})

    async def slice_and_count(
        self, query: Select[User], limit: int, offset: int, up_to: int
    ) -> tuple[Sequence[Row[Any]], int]:
        """Such rows, and how many rows there are in all, not counting beyond `up_to`: in one query,
        which costs a round trip and the work around it only once."""
        paged = queries.page_and_count(query, up_to)
        rows = await self._reads.rows(paged, {"limit": limit, "offset": offset})
        if not rows:
            return [], await self.count(query, up_to) if offset else 0
        return rows, rows[0][-1]

    async def slice_behind(
        self, query: Select[User], limit: int, position: Position, sort_by: str, sort_order: str
    ) -> Sequence[Row[Any]]:
        """Such rows behind `position`, in the order that `query` has already."""
        paged = queries.page_behind(query, sort_by, sort_order)
        values = queries.parameters_of(position, sort_by)
        return await self._reads.rows(paged, {"limit": limit, **values})

    async def count(self, query: Select[User], up_to: int | None = None) -> int:
        """How many rows `query` has, and not more than `up_to`, where it stops."""
        ((count,),) = await self._reads.rows(queries.counted(query, up_to))
        return int(count)

    async def expected_count(self, query: Select[User]) -> int:
        """About how many rows `query` has."""
        return await expected_rows(self._reads, query.with_only_columns(User.id).order_by(None))
