"""Queries on the days on which users were seen last."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Date, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from app.database import Base
from app.models import User
from app.models.user_activity import UserActivity
from app.repositories.base import BaseRepository

_TODAY = cast(func.timezone("UTC", func.now()), Date)
_USER = bindparam("seen_user", type_=BigInteger)
_SEEN_TODAY = select(UserActivity.user_id).where(
    UserActivity.user_id == _USER, UserActivity.seen_on >= _TODAY
)
_UNSEEN = select(User.id, _TODAY).where(User.id == _USER, ~_SEEN_TODAY.exists())
_INSERT = insert(Base.metadata.tables[UserActivity.__tablename__]).from_select(
    ["user_id", "seen_on"], _UNSEEN.with_for_update(read=True, key_share=True)
)
# Built once: it is part of each login.
_RECORD = _INSERT.on_conflict_do_update(
    index_elements=[UserActivity.user_id],
    set_={"seen_on": _INSERT.excluded.seen_on},
    where=UserActivity.seen_on < _INSERT.excluded.seen_on,
)


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
        await self.db.execute(_RECORD, {"seen_user": user_id})
