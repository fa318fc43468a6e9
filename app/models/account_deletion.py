"""Accounts that wait for their deletion."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class AccountDeletion(Base):
    """The deletion that a user has requested. The user is inactive until it is done or undone."""

    __tablename__ = "account_deletions"

    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delete_after: Mapped[datetime] = mapped_column(index=True)
