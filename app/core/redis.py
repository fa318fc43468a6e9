"""Redis, which speeds things up and must never hold them up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from time import perf_counter
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.core.telemetry import current_timing
from app.core.telemetry.metrics import REDIS_DURATION, REDIS_ERRORS

log = structlog.get_logger("app.redis")

T = TypeVar("T")

TIMEOUT = 0.1
"""Seconds to connect, and for each answer; decision 7 allows 0.2."""
FAILURES_TO_OPEN = 3
"""In a row: one slow answer is no outage."""
MAX_IN_FLIGHT = 16
"""Commands of a process on their way at once; more wait here, which is no failure of Redis.
One event loop keeps no more than a few busy; a burst that opens 50 at once has them time out."""
PROBE_INTERVAL = 0.5
"""Seconds between looks whether Redis is back."""
PROBE_TTL = 60
"""Seconds that the key of a look lives."""


class RedisUnavailable(Exception):
    """Redis did not do what was asked, or is known not to: do without."""


def connect_redis(url: str, *, max_connections: int = 2 * MAX_IN_FLIGHT) -> Redis:
    """A client that connects at first use, answers bytes, and tries again once, and at once,
    where a pooled connection turns out to be dead. A timeout is not tried again.

    RuntimeError is what uvloop raises for a write to a connection that was reset.
    """
    dead: Any = (RedisConnectionError, RuntimeError)  # typed as errors of Redis alone
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1, supported_errors=dead),
        max_connections=max_connections,
        client_name="backend-api",
    )


async def check_redis(redis: Redis, prefix: str) -> None:
    """Do what the service needs of Redis: a write, and a read of two keys, in one round trip.

    A replica, a Redis without memory and a node of a cluster answer PING and many reads.

    Args:
        redis: to check.
        prefix: first part of the service's keys there.

    Raises:
        Exception: it does not do it; whatever the library or the event loop raises.
    """
    key = f"{prefix}:probe"
    pipeline = redis.pipeline(transaction=False)
    pipeline.set(key, b"", ex=PROBE_TTL)
    pipeline.mget(key, f"{key}:other")
    await pipeline.execute()


class CircuitBreaker:
    """Asks Redis while it does what is asked, and leaves it alone while it does not.

    It opens after three failures in a row, and then every call fails at once. Where Redis refuses
    a command, such as a write to a replica, `check_redis` decides. A task of its own looks whether
    Redis is back by the same check, so that no request has to find out by waiting.

    Args:
        name: of its figures.
        redis: to ask.
        prefix: first part of the service's keys there.

    Attributes:
        before_closing: called when Redis is back, before anybody reads from it again, until none
            finds anything more to write that Redis missed. Where one raises, it stays open.
    """

    def __init__(self, name: str, redis: Redis, prefix: str) -> None:
        self.name = name
        self.redis = redis
        self.prefix = prefix
        self.before_closing: list[Callable[[], Awaitable[bool]]] = []
        self._failures = 0
        self._is_closed = False
        self._places = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._asked: list[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]] = []
        self._reading: set[asyncio.Task[None]] = set()
        self._checking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._observe = REDIS_DURATION.labels(name).observe
        self._count_error = REDIS_ERRORS.labels(name).inc

    @property
    def is_open(self) -> bool:
        """Whether Redis is being left alone."""
        return self._probing is not None

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives.

        Raises:
            RedisUnavailable: it failed, whatever the library or the event loop raised, or was not
                tried.
        """
        async with self._places:
            if self._probing is not None:
                raise RedisUnavailable
            began = perf_counter()
            try:
                result = await work()
            except Exception as error:
                self._failed(error)
                raise RedisUnavailable from error
            finally:
                self._took(perf_counter() - began)
            self._failures = 0
            return result

    async def get(self, *keys: str) -> list[bytes | None]:
        """The values of keys, all of one moment; None for a key that is not there.

        What is asked within one turn of the event loop goes in one command: under load a command
        takes longer to send and to receive than a request takes in all the rest.

        Raises:
            RedisUnavailable: it failed, or was not tried.
        """
        began = perf_counter()
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        if not self._asked:
            # Of nobody's request: it must not be counted as the time of whoever came first.
            task = asyncio.create_task(self._read(), context=Context())
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        self._asked.append((keys, answer))
        try:
            return await answer
        finally:
            _waited(self.name, perf_counter() - began)

    async def _read(self) -> None:
        asked, self._asked = self._asked, []
        wanted = [key for keys, _ in asked for key in keys]
        try:
            values: Any = iter(await self.call(lambda: self.redis.mget(wanted)))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is for those who asked
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for keys, answer in asked:
            found = [next(values) for _ in keys]
            if not answer.done():  # whoever asked may have been cancelled meanwhile
                answer.set_result(found)

    def _took(self, seconds: float) -> None:
        self._observe(seconds)
        _waited(self.name, seconds)

    def _failed(self, error: Exception) -> None:
        self._count_error()
        self._failures += 1
        if not isinstance(error, (RedisError, OSError, RuntimeError)):  # of a kind not met before
            log.warning("redis_call_failed", breaker=self.name, exc_info=error)
        if self._failures >= FAILURES_TO_OPEN:
            self.open(_said(error))
        elif isinstance(error, ResponseError) and self._checking is None:
            # Reads may go on meanwhile, so that there are never three failures in a row.
            self._checking = asyncio.create_task(self._check(), context=Context())

    async def _check(self) -> None:
        """Open where Redis refuses more than the one command."""
        try:
            await check_redis(self.redis, self.prefix)
        except Exception as error:  # noqa: BLE001  # whatever it is
            self.open(_said(error))
        finally:
            self._checking = None

    def open(self, reason: str) -> None:
        """Leave Redis alone from now on, however few calls have failed: it lacks a write without
        which what it holds must not be read."""
        if self._probing is None:
            log.warning("redis_left_alone", breaker=self.name, reason=reason)
            self._start_probe()

    def _start_probe(self) -> None:
        # Of nobody's request: its log lines must not bear the id of the one that failed.
        self._probing = asyncio.create_task(self._probe(), context=Context())
        self._probing.add_done_callback(self._probed)

    async def _probe(self) -> None:
        """Close once Redis is back, and has what it missed."""
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            try:
                await check_redis(self.redis, self.prefix)
                while any([await write_missed() for write_missed in self.before_closing]):
                    pass  # while one wrote, another may have missed something more
            except Exception:  # noqa: BLE001, S112  # whatever it is, Redis is not back
                continue
            # In the same turn of the event loop: no write can be missed in between.
            log.info("redis_is_back", breaker=self.name)
            self._failures = 0
            self._probing = None
            return

    def _probed(self, probe: asyncio.Task[None]) -> None:
        """Look again where the task died: without one the breaker would stay open."""
        if probe is self._probing and not self._is_closed:
            self._start_probe()

    def close(self) -> None:
        """Stop looking."""
        self._is_closed = True
        for task in (self._probing, self._checking):
            if task is not None:
                task.cancel()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _waited(name: str, seconds: float) -> None:
    if (timing := current_timing()) is not None:
        timing.waited(name, seconds)
