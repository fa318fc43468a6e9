"""Queries on saved views."""

from collections.abc import Sequence

from sqlalchemy import select

from app.models.saved_view import SavedView
from app.repositories.base import BaseRepository


class SavedViewRepository(BaseRepository[SavedView]):
    model = SavedView
    unique = {"uq_saved_views_name": "name"}  # noqa: RUF012  # declared ClassVar in the base
    owner = "user_id"

    async def of_list(self, user_id: int, list_name: str) -> Sequence[SavedView]:
        """A user's views of a list, the oldest first."""
        of_user = SavedView.user_id == user_id, SavedView.list_name == list_name
        return (
            await self.db.scalars(select(SavedView).where(*of_user).order_by(SavedView.id))
        ).all()
