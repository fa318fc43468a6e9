"""Second factors of users: authenticator apps, recovery codes, and challenges that were used."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Totp(Base):
    """A user's authenticator app (RFC 6238). It counts from `confirmed_at` on.

    `secret` is encrypted, by the key that `key_id` names. `last_step` is the time step of the last
    accepted code, and `failures` the number of wrong codes since then.
    """

    __tablename__ = "totp"

    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(String(8))
    last_step: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    confirmed_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """A code that replaces a second factor once, as SHA-256."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    used_at: Mapped[datetime | None]


class SpentChallenge(Base):
    """A signed token or challenge that was used, as SHA-256, until it expires."""

    __tablename__ = "spent_challenges"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    expires_at: Mapped[datetime]
