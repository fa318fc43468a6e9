"""Queries on the days on which users were seen last."""

from datetime import UTC, datetime

from sqlalchemy import Date, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from app.models import User
from app.models.user_activity import UserActivity
from app.repositories.base import BaseRepository

_TODAY = cast(func.timezone("UTC", func.now()), Date)


def is_new_day(last_use: datetime | None) -> bool:
    """Whether a session or API key is used for the first time today, in UTC. Each use of one sets
    that the user was seen, so that otherwise nothing has to be written."""
    return last_use is None or last_use.astimezone(UTC).date() < datetime.now(UTC).date()


class UserActivityRepository(BaseRepository[UserActivity]):
    model = UserActivity

    async def record(self, user_id: int) -> None:
        """Set that a user is seen today: one write a day, whatever number of processes try.

        The user is locked against deletion, before the caller locks a session: a deletion locks in
        this order too.
        """
        seen_today = select(UserActivity.user_id).where(
            UserActivity.user_id == user_id, UserActivity.seen_on >= _TODAY
        )
        user = select(User.id, _TODAY).where(User.id == user_id, ~seen_today.exists())
        query = insert(UserActivity).from_select(
            ["user_id", "seen_on"], user.with_for_update(read=True, key_share=True)
        )
        query = query.on_conflict_do_update(
            index_elements=[UserActivity.user_id],
            set_={"seen_on": query.excluded.seen_on},
            where=UserActivity.seen_on < query.excluded.seen_on,
        )
        await self.db.execute(query)
