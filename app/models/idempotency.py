"""Stored responses of requests with an `Idempotency-Key`."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class IdempotentResponse(Base):
    """The response to one user's request with an `Idempotency-Key`; its table is `kept_answers`.

    `user_id` has no foreign key: rows are deleted after a day, and without the constraint neither
    migrations nor deletions of users lock both tables.
    """

    __tablename__ = "kept_answers"

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    # Only creations are stored. For processes of an earlier release, which respond with it.
    status: Mapped[int] = mapped_column(SmallInteger, default=201)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_kept_answers_created_at", "created_at"),)
