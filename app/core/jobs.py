"""Background jobs: base class of payloads, and errors that a handler may raise."""

from datetime import timedelta
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class JobPayload(BaseModel):
    """Input of a job, stored as JSON until the job is done.

    Contains ids rather than rows, which may change until the job runs, and no secrets: payloads are
    in backups, and administrators see them.

    Attributes:
        kind: name of the job, unique and permanent: jobs of earlier releases bear it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]


class JobGivenUp(Exception):
    """No retry of the job can succeed. It fails at once, with this message as the reason.

    The message is stored and shown to administrators: no secrets.
    """


class JobPostponed(Exception):
    """The job should be retried, not before `delay`, whatever its backoff would be.

    It counts as an attempt. The message is stored and shown to administrators: no secrets.
    """

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay
