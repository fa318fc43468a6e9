"""Secrets sent by mail, as hashes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class OneTimeToken(Base):
    """A token that allows one step of an account, once.

    `hash` is its SHA-256, `address` the mailbox that it was sent to, and `fingerprint` that of the
    user's password and email when it was issued; null where it outlives a change of them. The user
    of an invitation is the one who invites. `attempts` counts the requests that presented it.
    """

    __tablename__ = "one_time_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    address: Mapped[str] = mapped_column(String(254))
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_one_time_tokens_live",
            "user_id",
            "purpose",
            unique=True,
            postgresql_where=text(
                "used_at IS NULL AND voided_at IS NULL "
                "AND purpose NOT IN ('email-change-undo', 'invitation')"
            ),
        ),
        Index("ix_one_time_tokens_expires_at", "expires_at"),
    )
