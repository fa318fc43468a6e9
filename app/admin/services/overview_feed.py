"""`OverviewFeed`: reads the overview once for all streams of this process."""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from app.admin.services.overview import OverviewService
from app.schemas.monitoring.overview import Overview
from app.schemas.monitoring.user_statistics import Period
from app.server.drain import Drain

log = structlog.get_logger("app.overview")

INTERVAL = 5.0
"""Seconds between two reads of the figures."""
LOOK = 0.25
"""Seconds between two looks whether the process is about to end."""
MAX_STREAMS = 64
"""Streams of a process."""
MAX_OF_SESSION = 4
"""Streams of a session: a browser has six connections to a host without HTTP/2."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Figures, and their HTML by what its readers may see."""

    figures: Overview
    rendered: dict[object, str] = field(default_factory=dict)


class Subscription:
    """What one stream is sent: the newest snapshot that it has not got yet, and no older one.

    Attributes:
        is_over: whether the process is about to end.
    """

    def __init__(self, session: object, period: Period) -> None:
        self.session, self.period = session, period
        self.is_over = False
        self._newest: Snapshot | None = None
        self._changed = asyncio.Event()

    def put(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        self._changed.set()

    def end(self) -> None:
        self.is_over = True
        self._changed.set()

    async def next(self, seconds: float) -> Snapshot | None:
        """The newest snapshot, as soon as there is one; None where there is none in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
        newest, self._newest = self._newest, None
        return newest


class OverviewFeed:
    """Reads the figures every few seconds while there are streams. One for the process.

    Args:
        overviews: of the process.
        drain: says when the process ends: no stop waits for a stream.
    """

    def __init__(self, overviews: OverviewService, drain: Drain) -> None:
        self._overviews = overviews
        self._drain = drain
        self._subscriptions: set[Subscription] = set()
        self._reader: asyncio.Task[None] | None = None
        self._due = 0.0

    def subscribe(self, session: object, period: Period) -> Subscription | None:
        """Begin a stream. Its first snapshot follows at once.

        Args:
            session: of the browser, which has few streams.
            period: of the sign-ups.

        Returns:
            None where there are too many streams, or the process is about to end.
        """
        of_session = sum(other.session == session for other in self._subscriptions)
        is_full = len(self._subscriptions) >= MAX_STREAMS or of_session >= MAX_OF_SESSION
        if is_full or self._drain.is_ending:
            return None
        subscription = Subscription(session, period)
        self._subscriptions.add(subscription)
        self._due = 0.0
        if self._reader is None:
            # Not in the context of the first stream's request, with whose deadline it would wait.
            self._reader = asyncio.create_task(self._read(), context=Context())
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a stream; with the last one, the reads end."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read(self) -> None:
        loop, reading = asyncio.get_running_loop(), None
        try:
            while not self._drain.is_ending:
                if loop.time() >= self._due and (reading is None or reading.done()):
                    self._due = loop.time() + INTERVAL
                    reading = asyncio.create_task(self._publish())
                await asyncio.sleep(LOOK)
            for subscription in self._subscriptions:
                subscription.end()
        finally:
            if reading is not None:
                reading.cancel()

    async def _publish(self) -> None:
        """Read the figures once, and for each further period only what depends on it."""
        try:
            periods = {subscription.period for subscription in self._subscriptions}
            figures: Overview | None = None
            for period in periods:
                figures = await self._overviews.now(period, figures)
                snapshot = Snapshot(figures)
                for subscription in self._subscriptions:
                    if subscription.period is period:
                        subscription.put(snapshot)
        except Exception:  # streams are silent then, and their pages say so
            log.exception("overview_not_read")
