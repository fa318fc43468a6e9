"""`SavedViewService`: lists of the admin pages that users save under a name."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException
from app.models.saved_view import SavedView
from app.repositories.user.repository import UserRepository
from app.repositories.user.saved_views import SavedViewRepository
from app.schemas.saved_view import SavedViewSchema
from app.services.base import BaseService

MAX_VIEWS = 20
"""Views that a user has of a list at most."""


class SavedViewService(BaseService):
    """Saves, renames and deletes views. Each belongs to one user, who alone sees it.

    Args:
        db: session of the request.
        list_name: of the list that the views are of.
    """

    def __init__(self, db: AsyncSession, list_name: str) -> None:
        super().__init__(db)
        self.views = SavedViewRepository(db)
        self.users = UserRepository(db)
        self.list_name = list_name

    async def of_user(self, user_id: int) -> list[SavedViewSchema]:
        """A user's views, the oldest first."""
        views = await self.views.of_list(user_id, self.list_name)
        return [SavedViewSchema.model_validate(view) for view in views]

    async def get(self, view_id: int, user_id: int) -> SavedViewSchema:
        """
        Raises:
            NotFoundException: the user has no such view.
        """
        return SavedViewSchema.model_validate(await self.views.get_or_raise(view_id, user_id))

    async def save(self, user_id: int, name: str, query: str) -> None:
        """Save a list under a name.

        Raises:
            ConflictException: another view has the name, or there are `MAX_VIEWS` already.
        """
        async with self.transaction():
            # Locked, so that views that are saved at once are counted too.
            await self.users.get_or_raise(user_id, lock=True)
            if len(await self.views.of_list(user_id, self.list_name)) >= MAX_VIEWS:
                raise ConflictException(f"You have {MAX_VIEWS} views already: delete one first")
            await self.views.add(
                SavedView(user_id=user_id, list_name=self.list_name, name=name, query=query)
            )

    async def rename(self, view_id: int, user_id: int, name: str) -> SavedViewSchema:
        """Give a view another name.

        Raises:
            NotFoundException: the user has no such view.
            ConflictException: another view has the name.
        """
        async with self.transaction():
            view = await self.views.get_or_raise(view_id, user_id, lock=True)
            view.name = name
            await self.views.flush()
        return SavedViewSchema.model_validate(view)

    async def delete(self, view_id: int, user_id: int) -> SavedViewSchema:
        """Delete a view.

        Raises:
            NotFoundException: the user has no such view.
        """
        async with self.transaction():
            view = await self.views.get_or_raise(view_id, user_id, lock=True)
            deleted = SavedViewSchema.model_validate(view)
            await self.views.delete(view)
        return deleted
