"""`Refusals`: events of refused requests and failed logins, sampled, and written in batches."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.exceptions import AppException
from app.core.limiter import network_of
from app.core.origin import Origin
from app.database import translated_errors
from app.schemas.audit import Action
from app.services.audit.recorder import event_of
from app.services.base import BaseService

log = structlog.get_logger("app.audit")

SINGLE = 5
"""Events of an action by one actor, or from one network, that are written singly in a minute."""
SINGLE_IN_ALL = 100
"""The same, of all of them together."""
SOURCES = 50
"""Actors and networks whose further events are counted apart; those of all others are counted
together."""
MAX_WAITING = 2_000
"""Events that wait while the database is away."""

Event = dict[str, Any]
Source = tuple[str, str | None]
_OF_ONE_REQUEST = ("request_id", "trace_id", "target", "user_id", "before", "after")


class Refusals:
    """Keeps a flood of refusals from filling the disk, and from taking connections: a process
    writes at most `SINGLE_IN_ALL + 2 * SOURCES` rows or so a minute.

    The first events of a minute are written singly, within about a second. Those that follow are
    counted, and written as one event with its `count` when the minute is over. Nothing is written
    in a transaction of a request, since a refusal changes nothing.

    Args:
        session_maker: of the process.
    """

    def __init__(self, session_maker: async_sessionmaker[AsyncSession]) -> None:
        self._session_maker = session_maker
        self._waiting: list[Event] = []
        self._minute = _minute()
        self._seen: dict[Source, int] = {}
        self._counted: dict[Source, Event] = {}

    def add_request(self, origin: Origin, method: str, route: str | None, status: int) -> None:
        """Add what a service recorded of a refused request, or else the refusal itself."""
        facts = {"method": method, "route": route, "status": status}
        refused = Action.ACCESS_REFUSED
        for event in origin.refusals or [
            event_of(refused, after=facts, outcome="refused", by=origin)
        ]:
            self.add(event)

    def add(self, event: Event) -> None:
        """Add an event: to be written singly, or counted."""
        if _minute() != self._minute:
            self._end_minute()
        source = _source_of(event)
        seen = self._seen.get(source, 0)
        if seen < SINGLE and sum(self._seen.values()) < SINGLE_IN_ALL:
            self._seen[source] = seen + 1
            self._wait([event | {"created_at": datetime.now(UTC)}])
            return
        if source not in self._counted and len(self._counted) >= SOURCES:
            source = event["action"], None
        counted = self._counted.setdefault(source, _counting(event, source))
        counted["count"] += 1

    async def write(self, *, is_last: bool = False) -> None:
        """Write the events that wait; those that are counted once their minute is over.

        Args:
            is_last: the process ends: write all of them.
        """
        if is_last or _minute() != self._minute:
            self._end_minute()
        events, self._waiting = self._waiting, []
        if not events:
            return
        try:
            with translated_errors():
                await self._insert(events)
        except (AppException, OSError) as error:
            log.warning("refusals_not_written", events=len(events), reason=repr(error))
            self._wait(events)

    async def _insert(self, events: list[Event]) -> None:
        async with self._session_maker() as db:
            service = BaseService(db)
            async with service.transaction():
                for event in events:
                    service.audit.waiting.add(event)

    def _end_minute(self) -> None:
        self._wait(self._counted.values())
        self._counted, self._seen, self._minute = {}, {}, _minute()

    def _wait(self, events: Iterable[Event]) -> None:
        self._waiting += events
        if (lost := len(self._waiting) - MAX_WAITING) > 0:
            log.warning("refusals_lost", events=lost)
            del self._waiting[:lost]


def _source_of(event: Event) -> Source:
    """The action, and who is to blame: the actor, apart from those who act as them, or a network
    where the actor is not known."""
    if (impersonator := event["impersonator_id"]) is not None:
        return event["action"], f"{event['actor']} by {impersonator}"
    if event["actor"] != "anonymous":
        return event["action"], event["actor"]
    return event["action"], network_of(event["address"] or "unknown")


def _counting(event: Event, source: Source) -> Event:
    """An event that stands for others of its source."""
    counting = event | dict.fromkeys(_OF_ONE_REQUEST)
    if source[1] is None:
        counting |= dict.fromkeys(("actor_name", "address", "impersonator_id"))
        counting["actor"] = "anonymous"
    return counting | {"count": 0, "created_at": datetime.now(UTC)}


def _minute() -> int:
    return int(datetime.now(UTC).timestamp()) // 60
