"""Actions on many users that run as background jobs."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base
from app.schemas.background.bulk_action import UserAction


class BulkAction(Base):
    """An action on many users. `user_id` is the admin's, without a foreign key: a record outlives
    its admin. An admin has at most one that has not ended.

    `session_id` is the session in which it was begun: if that is ended, so is this. `last_id` is
    the user that was looked at last; it is written in the transaction that changes the user. `run`
    counts the attempts: only the last one may write.
    """

    __tablename__ = "bulk_actions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    session_id: Mapped[UUID]
    job_id: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[UserAction] = mapped_column(String(16))
    undo_of: Mapped[UUID | None]
    run: Mapped[int] = mapped_column(server_default="0")
    last_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    done: Mapped[int] = mapped_column(server_default="0")
    changed: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    outcome: Mapped[Literal["done", "failed", "cancelled"] | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_bulk_actions_created_at", "created_at"),
        Index(
            "uq_bulk_actions_open",
            "user_id",
            unique=True,
            postgresql_where=text("outcome IS NULL"),
        ),
    )


class BulkActionUser(Base):
    """A user that an action is for, and what became of it. `user_id` has no foreign key: the row
    outlives the user. `changed_at` is the `updated_at` that the change gave to them: an undo is
    for those who still have it."""

    __tablename__ = "bulk_action_users"

    bulk_action_id: Mapped[UUID] = mapped_column(
        ForeignKey("bulk_actions.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    changed_at: Mapped[datetime | None]
    refusal: Mapped[str | None] = mapped_column(String(300))

    __table_args__ = (Index("ix_bulk_action_users_user_id", "user_id"),)
