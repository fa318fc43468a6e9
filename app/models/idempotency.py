"""Answers that are given again where a request is repeated."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class KeptAnswer(Base):
    """What one user's request was answered under its `Idempotency-Key`.

    `user_id` refers to users without a constraint: it goes with its day, and not to look at the
    users table saves each migration and each deletion from waiting for the other.
    """

    __tablename__ = "kept_answers"

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_kept_answers_created_at", "created_at"),)
