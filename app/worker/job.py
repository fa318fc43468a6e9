"""Declaration of a background job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.jobs import JobPayload
from app.runtime import Runtime

P = TypeVar("P", bound=JobPayload)


@dataclass(frozen=True, slots=True)
class Job(Generic[P]):
    """A kind of job: its payload, the handler, and how it is run.

    Jobs run **at least once**: a worker may die at any moment, after the work and before it is
    recorded as done. A handler must be idempotent.

    Attributes:
        payload: what is enqueued; its `kind` names the job.
        handler: does the work, with the process's runtime; it opens sessions of its own. An
            exception is a failed attempt.
        concurrency: jobs of this kind at once, in all processes together; 0 for no limit.
        attempts: until the job has failed; it then waits for an administrator.
        first_delay: seconds before the second attempt, doubled for each further one.
        max_delay: most seconds between two attempts.
        timeout: seconds that an attempt may take.
        cron: when the job is enqueued by itself, as five fields of crontab in UTC; the payload
            then has no fields without a default. One that is still waiting or running is not
            enqueued again.
    """

    payload: type[P]
    handler: Callable[[Runtime, P], Awaitable[None]]
    concurrency: int = 0
    attempts: int = 8
    first_delay: float = 5.0
    max_delay: float = 3600.0
    timeout: float = 60.0
    cron: str | None = None

    @property
    def kind(self) -> str:
        return self.payload.kind
