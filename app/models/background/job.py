"""Background jobs, in pgqueuer's tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ENUM, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

_STATUS = ENUM(
    "queued",
    "picked",
    "successful",
    "exception",
    "canceled",
    "deleted",
    "failed",
    name="pgqueuer_status",
    create_type=False,
)


class QueuedJob(Base):
    """A job that waits (`queued`), runs (`picked`) or has `failed`. The columns that we read."""

    __tablename__ = "pgqueuer"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column("entrypoint", Text)
    status: Mapped[str] = mapped_column(_STATUS)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    attempts: Mapped[int]
    created: Mapped[datetime]
    updated: Mapped[datetime]
    execute_after: Mapped[datetime]


class JobEvent(Base):
    """A change of a job's status. `failure` is set where an attempt failed."""

    __tablename__ = "pgqueuer_log"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column("entrypoint", Text)
    status: Mapped[str] = mapped_column(_STATUS)
    created: Mapped[datetime]
    failure: Mapped[dict[str, Any] | None] = mapped_column("traceback", JSONB)
    aggregated: Mapped[bool] = mapped_column(Boolean)
