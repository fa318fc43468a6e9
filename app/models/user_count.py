"""Counters of users."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Identity
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class UserCount(Base):
    """A number to add to the count of some users, negative for users that are gone (ADR 23).

    Written by triggers of `users`, one row for all users of a kind that a statement has changed.
    There are two sorts of rows: those with a state and without `bucket`, and those with `bucket`
    alone. The sum of each sort is the number of all users.

    Attributes:
        bucket: hour in which the users were created; their day, if more than eight days ago;
            `-infinity`, if more than 183.
        is_active: one of the states. A migration that adds one calls `count_users_by`.
    """

    __tablename__ = "user_counts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    bucket: Mapped[datetime | None]
    is_active: Mapped[bool | None]
    is_superuser: Mapped[bool | None]
    has_mfa: Mapped[bool | None]
    email_verified: Mapped[bool | None]
    delta: Mapped[int] = mapped_column(BigInteger)


STATES = tuple(
    column.name for column in UserCount.__table__.columns if isinstance(column.type, Boolean)
)
"""Columns by which users are counted, each with the name of a filter of `UserFilters`."""
