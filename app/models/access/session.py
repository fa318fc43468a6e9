"""Login sessions. One ends by logout, by expiry, or if its refresh token is reused."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import Base
from app.models.user import User


class Session(Base):
    """A session of one device. `ended_at` is set once and never cleared.

    `refresh_hash` is the SHA-256 of the valid refresh token; each use replaces it. `previous_hash`
    is that of the last used token, `rotated_at` the time of its first use, and `generation` the
    number of rotations. `amr` is how the user was authenticated, in words of RFC 8176;
    `confirmed_at` the time of the last confirmation, which is the login where it is null.

    The last three columns are of an impersonation: the superuser, their own session that it hangs
    on, and why. They have no foreign keys: if that session is deleted, this one must stay known as
    an impersonation.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    refresh_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    rotated_at: Mapped[datetime | None]
    generation: Mapped[int] = mapped_column(server_default="0")
    user_agent: Mapped[str | None] = mapped_column(String(255))
    address: Mapped[str | None] = mapped_column(String(45))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    amr: Mapped[list[str]] = mapped_column(ARRAY(String(16)), server_default=text("'{pwd}'"))

    impersonator_id: Mapped[int | None] = mapped_column(BigInteger)
    impersonator_session_id: Mapped[UUID | None]
    impersonation_reason: Mapped[str | None] = mapped_column(String(200))

    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (Index("ix_sessions_expires_at", "expires_at"),)

    @property
    def is_impersonation(self) -> bool:
        return self.impersonator_id is not None
