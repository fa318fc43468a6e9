"""Imports and exports that run as background jobs."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Transfer(Base):
    """An import or export. `user_id` has no foreign key: a record outlives its user.

    `input` is encrypted, and deleted when the transfer has an `outcome`. `run` counts the attempts:
    only the last one may write. `size` is that of the file to download, in bytes.
    """

    __tablename__ = "transfers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[int] = mapped_column(BigInteger)
    job_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    input: Mapped[bytes | None] = mapped_column(LargeBinary)
    run: Mapped[int] = mapped_column(server_default="0")
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int]
    outcome: Mapped[Literal["done", "failed", "cancelled"] | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(2000))
    size: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_transfers_created_at", "created_at"),)


class TransferPart(Base):
    """A part of an exported file, about a megabyte."""

    __tablename__ = "transfer_parts"

    transfer_id: Mapped[UUID] = mapped_column(
        ForeignKey("transfers.id", ondelete="CASCADE"), primary_key=True
    )
    run: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
