"""Ledger of a soak: what clients asked for, what was acknowledged, and when faults were active."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.polling import within_async

GRACE = 2.0
"""Seconds after recovery in which a pooled connection may still turn out to be dead."""
SETTLED = 1.0
"""Seconds after a fault has been mended by when whatever the network held back has arrived."""


@dataclass
class Session:
    """A login. `ended_at`: the moment when its end was acknowledged, by the monotonic clock."""

    access_token: str
    refresh_token: str
    ended_at: float | None = None


@dataclass
class Account:
    """A user and the counter in its full name.

    Attributes:
        id: 0 until the creation is acknowledged.
        sent: the last counter that was sent.
        acknowledged: the last counter that was answered 200.
        is_deleted: None where a deletion was sent and its outcome is unknown.
    """

    email: str
    id: int = 0
    sent: int = 0
    acknowledged: int = 0
    is_deleted: bool | None = False
    sessions: list[Session] = field(default_factory=list)


@dataclass
class Bulk:
    """A bulk creation. `answers`: of each acknowledgement the ids, in the order of `emails`."""

    emails: list[str]
    answers: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """The outcome of one request.

    Attributes:
        request: method and path, without ids.
        began: by the monotonic clock, as `ended`.
        status: 0 where no answer arrived; `error` says why.
        is_expected: whether the client's state admits this status without any fault.
    """

    request: str
    began: float
    ended: float
    status: int
    is_expected: bool
    request_id: str = ""
    error: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether the request may have been carried out or not."""
        return self.status == 0 or self.status >= 500


@dataclass
class Fault:
    """A fault of the run. Its moments are by the monotonic clock, and infinite until they come.

    Attributes:
        name: begins with what is broken.
        health: status of /health at the end of the fault, before it was mended.
        opened: how often a breaker of any process opened until then, but for timeouts.
    """

    name: str
    began: float
    mended: float = float("inf")
    recovered: float = float("inf")
    health: int = 0
    opened: int = 0

    @property
    def part(self) -> str:
        """PostgreSQL, Redis, process or client."""
        return self.name.partition(":")[0]

    @property
    def recovery(self) -> float:
        """Seconds until the service was well again: since the fault was mended, or, of a process,
        since it was killed, which the service mends itself."""
        return self.recovered - (self.began if self.part == "process" else self.mended)

    def concerns(self, began: float, ended: float) -> bool:
        """Whether it may have an effect on what happened between two moments."""
        return self.began <= ended and began <= self.recovered + GRACE


@dataclass
class Ledger:
    """Everything that the judgement is made from. `completed`: clients that came to their end."""

    accounts: list[Account] = field(default_factory=list)
    bulks: list[Bulk] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    admitted: list[tuple[float, float]] = field(default_factory=list)
    """Requests of ended sessions that were answered 200: when it ended, when it was asked."""
    completed: int = 0

    @contextmanager
    def fault(self, name: str) -> Iterator[Fault]:
        """Record a fault, which is mended at the end of the block."""
        fault = Fault(name, time.monotonic())
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.mended = time.monotonic()

    def parts_at(self, began: float, ended: float) -> set[str]:
        """What was broken, or had just recovered, between two moments."""
        return {fault.part for fault in self.faults if fault.concerns(began, ended)}

    async def settled(self) -> None:
        """Wait until nothing is broken, and nothing that was sent before can still arrive.

        Without it, a write whose outcome is unknown could arrive after the one that follows it.
        """

        def is_settled() -> bool:
            return all(time.monotonic() > fault.mended + SETTLED for fault in self.faults[-1:])

        await within_async(3600, is_settled)
