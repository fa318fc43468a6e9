"""The days on which users were seen last."""

from datetime import date

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class UserActivity(Base):
    """The day, in UTC, of the last use of a user's sessions and API keys. A user who was never seen
    has no row; impersonations do not count.

    A table of its own, since a column of `users` would be written each day, with all its indexes.
    """

    __tablename__ = "user_activity"

    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    seen_on: Mapped[date]

    __table_args__ = (Index("ix_user_activity_seen_on", "seen_on", "user_id"),)
