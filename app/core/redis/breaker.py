"""Circuit breaker around Redis, which speeds requests up and must never block them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from time import perf_counter
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from app.core.redis import client
from app.core.redis.client import MAX_IN_FLIGHT, is_direct
from app.core.redis.keys import check_redis, is_node_of_cluster, read_keys
from app.core.telemetry import current_timing
from app.core.telemetry.metrics import REDIS_DURATION, REDIS_ERRORS

log = structlog.get_logger("app.redis")

T = TypeVar("T")

FAILURES_TO_OPEN = 3
"""Failures in a row that open the breaker: one slow reply is no outage."""
PROBE_INTERVAL = 0.5
"""Seconds between two probes of a Redis that failed."""

_EXPECTED = RedisError, RedisClusterException, OSError, RuntimeError
NO_CLUSTER_CLIENT = (
    "it is a node of a cluster: name it by redis+cluster://host:port,host:port, or use a Redis "
    "without cluster mode"
)


class RedisUnavailable(Exception):
    """Redis failed, or the breaker is open: continue without Redis."""


class CircuitBreaker:
    """Circuit breaker around Redis.

    It opens after three failures in a row, and then every call fails at once. If Redis refuses a
    command, such as a write to a replica, `check_redis` decides. A background task probes Redis by
    the same check, so that no request has to find out by waiting.

    Args:
        name: label of its metrics.
        redis: the client.
        prefix: of the service's keys.

    Attributes:
        before_closing: called when Redis is available again, before the first read, until none
            returns True, that is, writes anything that Redis missed. If one raises, the breaker
            stays open.
    """

    def __init__(self, name: str, redis: Redis, prefix: str) -> None:
        self.name = name
        self.redis = redis
        self.prefix = prefix
        self.before_closing: list[Callable[[], Awaitable[bool]]] = []
        # A client of Sentinels or a cluster may try several servers, one after the other.
        self._limit = None if is_direct(redis) else 2 * client.TIMEOUT
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
        """Whether calls fail without asking Redis."""
        return self._probing is not None

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work()` and return its result.

        Raises:
            RedisUnavailable: it failed with any error, or the breaker is open.
        """
        async with self._places:
            if self._probing is not None:
                raise RedisUnavailable
            began = perf_counter()
            try:
                async with asyncio.timeout(self._limit):
                    result = await work()
            except Exception as error:
                self._failed(error)
                raise RedisUnavailable from error
            finally:
                self._took(perf_counter() - began)
            self._failures = 0
            return result

    async def get(self, *keys: str) -> list[bytes | None]:
        """The values of keys at one moment, in a cluster those of one slot; None for a missing key.

        All calls in one turn of the event loop share one command: under load, sending and receiving
        a command takes longer than all the rest of a request.

        Raises:
            RedisUnavailable: it failed, or the breaker is open.
        """
        began = perf_counter()
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        if not self._asked:
            # In an empty context: the time must not be counted for the first of the requests.
            task = asyncio.create_task(self._read(), context=Context())
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        self._asked.append((keys, answer))
        try:
            return await answer
        finally:
            _record_wait(self.name, perf_counter() - began)

    async def _read(self) -> None:
        asked, self._asked = self._asked, []
        wanted = [key for keys, _ in asked for key in keys]
        try:
            values = iter(await self.call(lambda: read_keys(self.redis, wanted)))
        except Exception as error:  # noqa: BLE001  # passed on to the callers
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for keys, answer in asked:
            found = [next(values) for _ in keys]
            if not answer.done():  # the caller may have been cancelled meanwhile
                answer.set_result(found)

    def _took(self, seconds: float) -> None:
        self._observe(seconds)
        _record_wait(self.name, seconds)

    def _failed(self, error: Exception) -> None:
        self._count_error()
        self._failures += 1
        if not isinstance(error, _EXPECTED):
            log.warning("redis_call_failed", breaker=self.name, exc_info=error)
        if self._failures >= FAILURES_TO_OPEN:
            self.open(reason_of(error))
        elif isinstance(error, ResponseError) and self._checking is None:
            # Reads may still succeed, so that there are never three failures in a row.
            self._checking = asyncio.create_task(self._check(), context=Context())

    async def _check(self, failure: type[Exception] = Exception) -> None:
        """Open the breaker if `check_redis` fails with a `failure`."""
        try:
            await check_redis(self.redis, self.prefix)
        except Exception as error:  # noqa: BLE001
            if isinstance(error, failure):
                self.open(reason_of(error))
        finally:
            self._checking = None

    def open(self, reason: str) -> None:
        """Open the breaker at once, since Redis lacks a write without which its contents must not
        be read."""
        if self._probing is None:
            log.warning("redis_left_alone", breaker=self.name, reason=reason)
            self._start_probe()

    def check_soon(self) -> None:
        """Check in the background whether Redis refuses what is needed: a start reports it. One
        that does not answer in time may only be busy."""
        self._checking = asyncio.create_task(self._check(ResponseError), context=Context())

    def _start_probe(self) -> None:
        # In an empty context: its log lines must not carry the id of the failed request.
        self._probing = asyncio.create_task(self._probe(), context=Context())
        self._probing.add_done_callback(self._probed)

    async def _probe(self) -> None:
        """Close the breaker once Redis is available and has the writes that it missed."""
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            try:
                await check_redis(self.redis, self.prefix)
                while any([await write_missed() for write_missed in self.before_closing]):
                    pass  # during one write, another may have failed
            except Exception:  # noqa: BLE001, S112  # Redis is still unavailable
                continue
            # In the same turn of the event loop: no write can be missed in between.
            log.info("redis_is_back", breaker=self.name)
            self._failures = 0
            self._probing = None
            return

    def _probed(self, probe: asyncio.Task[None]) -> None:
        """Restart the probe if its task failed: otherwise the breaker would stay open."""
        if probe is self._probing and not self._is_closed:
            self._start_probe()

    def close(self) -> None:
        """Stop the probe."""
        self._is_closed = True
        for task in (self._probing, self._checking):
            if task is not None:
                task.cancel()


def reason_of(error: Exception) -> str:
    """An error of Redis for the log, with advice where the server is a node of a cluster."""
    reason = f"{type(error).__name__}: {error}"
    return f"{reason}; {NO_CLUSTER_CLIENT}" if is_node_of_cluster(error) else reason


def _record_wait(name: str, seconds: float) -> None:
    if (timing := current_timing()) is not None:
        timing.waited(name, seconds)
