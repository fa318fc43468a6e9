"""Records of mails: kind, masked recipient, state and attempts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Mail(Base):
    """A mail of which at least one attempt was made.

    `recipient` is masked, and `reply` what the server said last, or why nothing was sent. `seconds`
    is how long the last attempt took. `user_id` has no foreign key: a record outlives its user.
    """

    __tablename__ = "mails"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    recipient: Mapped[str] = mapped_column(String(254))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    reply: Mapped[str] = mapped_column(String(400))
    seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_mails_created_at", "created_at", "id"),)
