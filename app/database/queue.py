"""pgqueuer's driver protocol on SQLAlchemy: on a session's connection, and on a worker's engine.

Everything that holds for the service's own statements holds for the queue's too: hosts, TLS and the
pooler's rules, the failover, the translation of errors.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import asyncpg
import structlog
from pgqueuer.core.tm import TaskManager
from pgqueuer.ports.driver import NotifyCallback
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.exceptions import AppException, ServiceUnavailableException
from app.core.timeouts import with_timeout
from app.database.errors import translate
from app.database.servers.failover import reports_read_only

log = structlog.get_logger("app.jobs")

QueryRows = list[dict[str, object]]
ANSWER_TIMEOUT = 30.0
"""Seconds until a statement without an answer is sent again: more than a statement may take."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to reach the database."""
LISTENER_CHECK = 15.0
"""Seconds between checks of the connection that listens: a lost one receives nothing."""
_ERRORS = SQLAlchemyError, AppException, OSError  # a TimeoutError is an OSError


class QueueDriver:
    """What both drivers share.

    Attributes:
        shutdown: part of the protocol, and unused by pgqueuer's managers.
        tm: the same.
    """

    def __init__(self) -> None:
        self.shutdown = asyncio.Event()
        self.tm = TaskManager()

    async def fetch(self, query: str, *args: object) -> QueryRows:
        raise NotImplementedError

    async def execute(self, query: str, *args: object) -> str:
        await self.fetch(query, *args)
        return ""  # pgqueuer reads no status

    async def notify(self, channel: str, payload: str) -> None:
        """Notify the listeners, at the end of the transaction."""
        await self.fetch("SELECT pg_notify($1, $2)::text", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The connections are closed by their owner."""


class SessionDriver(QueueDriver):
    """On one connection, whose transaction is left to its owner."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__()
        self._connection = connection
        self._lock = asyncio.Lock()  # pgqueuer sends some statements side by side

    async def fetch(self, query: str, *args: object) -> QueryRows:
        async with self._lock:
            return await _fetch(self._connection, query, args)


class WorkerDriver(QueueDriver):
    """On an engine of its own. It waits for a database that is away, and sends the statement again.

    A statement may have been run though its answer was lost. To run it twice is harmless: at worst
    a job runs once more.

    Args:
        engine: with room for two connections, one of them to listen.
        is_pooled: behind a pooler by transaction, where no connection can listen.
    """

    def __init__(self, engine: AsyncEngine, *, is_pooled: bool) -> None:
        super().__init__()
        self._engine = engine
        self._is_pooled = is_pooled
        # Without BEGIN and COMMIT, two round trips less. The pooler's rules need a transaction.
        self._each = engine if is_pooled else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._listeners: list[asyncio.Task[None]] = []
        self._closing = False

    async def fetch(self, query: str, *args: object) -> QueryRows:
        """
        Raises:
            asyncpg.PostgresError: the statement failed, for another reason than the server's state.
            Exception: the database is away, and the driver is closing.
        """

        async def once() -> QueryRows:
            async with self._each.begin() as connection:
                return await _fetch(connection, query, args)

        return await self._persist(once)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen until `close`, on a connection that is replaced where it is lost. Behind a pooler
        nothing is received."""
        if not self._is_pooled:
            self._listeners.append(asyncio.create_task(self._listen(channel, callback)))

    async def close(self) -> None:
        """End the listeners, and wait no longer for a database that is away."""
        self.give_up()
        for task in self._listeners:
            task.cancel()
        if self._listeners:
            await asyncio.wait(self._listeners)

    def give_up(self) -> None:
        """Wait no longer for a database that is away."""
        self._closing = True

    async def _persist(self, work: Callable[[], Awaitable[QueryRows]]) -> QueryRows:
        pause = FIRST_PAUSE
        while True:
            try:
                return await with_timeout(ANSWER_TIMEOUT, work)
            except _ERRORS as error:
                if self._closing or not _is_away(error):
                    raise _cause(error) from error
                log.warning("queue_away", reason=type(_cause(error)).__name__, retry_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self, channel: str, callback: NotifyCallback) -> None:
        def received(_connection: object, _pid: int, _channel: str, payload: str) -> None:
            callback(payload)

        while True:
            with suppress(*_ERRORS, *_DRIVER_ERRORS):
                async with self._each.connect() as connection:
                    raw: Any = (await connection.get_raw_connection()).driver_connection
                    await raw.add_listener(channel, received)
                    try:
                        await _until_lost(connection, raw)
                    finally:
                        # Not to be used for anything else: it would go on listening.
                        await connection.invalidate()
            await asyncio.sleep(FIRST_PAUSE)


_DRIVER_ERRORS = asyncpg.PostgresError, asyncpg.InterfaceError


async def _fetch(connection: AsyncConnection, query: str, args: tuple[object, ...]) -> QueryRows:
    result = await connection.exec_driver_sql(query, args)
    return [dict(row) for row in result.mappings()] if result.returns_rows else []


async def _until_lost(connection: AsyncConnection, raw: Any) -> None:
    """Return once the connection is closed or silent, or its server is no longer the primary."""
    lost = asyncio.Event()
    raw.add_termination_listener(lambda _: lost.set())
    while not lost.is_set() and not reports_read_only(raw):
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTENER_CHECK):
                await lost.wait()
        if not lost.is_set():
            await with_timeout(LISTENER_CHECK, lambda: connection.execute(text("SELECT 1")))


def _is_away(error: Exception) -> bool:
    """Whether the same statement may succeed later, without anything being changed."""
    if not isinstance(error, SQLAlchemyError):
        return not isinstance(error, AppException) or isinstance(error, ServiceUnavailableException)
    state = getattr(_cause(error), "sqlstate", None) or ""
    # A deadlock is answered by pgqueuer itself.
    return not state.startswith("40") and isinstance(translate(error), ServiceUnavailableException)


def _cause(error: Exception) -> Exception:
    """asyncpg's own error, whose constraint and SQLSTATE pgqueuer reads."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
        cause = error.orig.__cause__
        return cause if isinstance(cause, Exception) else error.orig
    return error
