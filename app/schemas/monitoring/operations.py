"""Schemas of the queue, the workers and the mails at a glance."""

from app.schemas.base import ResponseSchema

MAX_COUNTED = 10_000
"""Jobs of a state, and mails, up to which they are counted; a larger number means more."""


class QueueSummary(ResponseSchema):
    """Jobs of all workers by state.

    Attributes:
        oldest: seconds that the oldest waiting job has been due; None without one.
    """

    waiting: int
    delayed: int
    running: int
    failed: int
    oldest: float | None


class MailSummary(ResponseSchema):
    """Mails begun in the last 24 hours by state; of more than `MAX_COUNTED` the newest."""

    sent: int = 0
    deferred: int = 0
    failed: int = 0
    dropped: int = 0


class Operations(ResponseSchema):
    """What the workers of the whole service do.

    Attributes:
        workers: processes that run jobs and were seen in the last minute; None where Redis, which
            knows them, is away or not used.
    """

    queue: QueueSummary
    mail: MailSummary
    workers: int | None
