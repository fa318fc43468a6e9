"""Stored answers of idempotent requests."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class KeptAnswer(Base):
    """The answer to a user's request under its `Idempotency-Key`.

    `user_id` refers to users without a constraint: a row lives for a day only, and without one
    neither a migration nor a deletion of users waits for the other.
    """

    __tablename__ = "kept_answers"

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    # Only creations are stored. For processes of an earlier release, which answer with it.
    status: Mapped[int] = mapped_column(SmallInteger, default=201)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_kept_answers_created_at", "created_at"),)
