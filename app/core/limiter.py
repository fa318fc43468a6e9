"""Rate limits: slowapi's decorators and exception, counted by `limits.aio` (decision 8).

slowapi's own check is synchronous: it would freeze the event loop while Redis hangs. Here its
decorator only registers a limit with an endpoint; dependencies in `app.api.limits` do the check.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any, TypeVar

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from slowapi import Limiter
from slowapi.wrappers import Limit, LimitGroup
from starlette.requests import Request

from app.core.config import LimiterSettings
from app.core.redis import CircuitBreaker, RedisUnavailable

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

MAX_KNOWN_WINDOWS = 10_000
"""Windows whose end a process remembers: about 2 MB."""


def by_address(request: Request) -> str:
    """The client's network: its IPv4 address, or the /64 that an IPv6 customer is given whole."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return f"address:{host}"
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64)
    return f"address:{address}"


_settings: ContextVar[LimiterSettings] = ContextVar("limiter_settings")


def rate(name: str) -> Callable[[], str]:
    """The rate that the running application's `LIMITER_<NAME>` gives."""

    def provide() -> str:
        value: str = getattr(_settings.get(), name)
        return value

    return provide


def _only(register: Callable[..., Any]) -> Callable[[Endpoint], Endpoint]:
    """A decorator that registers and does not wrap."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        def named(request: Request) -> None:
            """slowapi keeps limits by the function's name, and wants this parameter."""

        named.__module__, named.__name__ = endpoint.__module__, endpoint.__name__
        register(named)
        return endpoint

    return decorate


class LimitRegistry(Limiter):
    """slowapi's limiter with its decorators kept and its counting left out."""

    def limit(self, *args: Any, **kwargs: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a limit with the endpoint, which stays as it is."""
        return _only(super().limit(*args, **kwargs))

    def shared_limit(self, *args: Any, **kwargs: Any) -> Callable[[Endpoint], Endpoint]:
        """The same, with one count for all endpoints of a scope."""
        return _only(super().shared_limit(*args, **kwargs))

    def limits_of(self, request: Request, settings: LimiterSettings) -> list[Limit]:
        """Those registered with the endpoint that `request` is routed to."""
        endpoint = request.scope["endpoint"]
        groups: Sequence[LimitGroup] = self._dynamic_route_limits.get(
            f"{endpoint.__module__}.{endpoint.__name__}", ()
        )
        token = _settings.set(settings)
        try:
            return [limit for group in groups for limit in group]
        finally:
            _settings.reset(token)


limiter = LimitRegistry(key_func=by_address)


@lru_cache(maxsize=128)
def parsed(value: str) -> RateLimitItem:
    """`5/minute` as limits understands it."""
    return parse(value)


@dataclass(frozen=True, slots=True)
class Window:
    """Where a caller stands in one limit.

    Attributes:
        limit: hits that the window admits.
        used: hits so far, this one included.
        reset: when it ends, by the monotonic clock.
        is_local: whether only this process's hits were counted.
    """

    limit: int
    used: int
    reset: float
    is_local: bool

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    def headers(self) -> dict[str, str]:
        """After the IETF's draft of RateLimit header fields, with a note where it is local."""
        local = {"X-RateLimit-Storage": "memory"} if self.is_local else {}
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "RateLimit-Reset": str(self.retry_after()),
            **local,
        }

    def retry_after(self) -> int:
        """Whole seconds until it ends, at least 1: RFC 9110 §10.2.3 has no fractions."""
        return max(1, ceil(self.reset - time.monotonic()))


@dataclass(slots=True)
class _Share:
    """Hits of one window that were counted in Redis ahead of being made here.

    Attributes:
        counted: the count in Redis when it was filled last.
        left: how many of them were not made yet.
        reset: when the window ends, by the monotonic clock.
        filling: held while it is filled, so that a burst fills it once and not for each caller.
        failures: how often Redis did not fill it.
    """

    counted: int = 0
    left: int = 0
    reset: float = 0.0
    failures: int = 0
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, limit: int) -> Window | None:
        """One hit of it; None where it is used up or its window has ended."""
        if self.left <= 0 or self.reset <= time.monotonic():
            return None
        self.left -= 1
        return Window(limit, self.counted - self.left, self.reset, is_local=False)


class HitCounter:
    """Counts hits in Redis for all processes, and in memory while Redis is away.

    Of a large limit a process counts a share of half a percent ahead, so that most hits ask
    nobody; a limit under 400 is counted hit by hit. A caller of several processes may therefore be
    refused that little early, and never late.

    Args:
        breaker: to the limiter's Redis; None where there is none.
        prefix: first part of every key there.
    """

    def __init__(self, breaker: CircuitBreaker | None, prefix: str) -> None:
        self._breaker = breaker
        self._prefix = prefix
        self._memory = MemoryStorage()
        self._shares: dict[str, _Share] = {}
        self._redis: RedisStorage | None = None
        if breaker is not None:
            self._redis = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=prefix,
                connection_pool=breaker.redis.connection_pool,  # type: ignore[arg-type]  # documented, and typed too narrowly
            )

    async def hit(self, item: RateLimitItem, *identifiers: str) -> Window:
        """Count one more."""
        key = item.key_for(*identifiers)
        if self._breaker is not None:
            share = self._share(key)
            try:
                return share.take(item.amount) or await self._fill_and_take(share, item, key)
            except RedisUnavailable:
                pass
        used, left = await self._count_here(item, key)
        reset = time.monotonic() + left
        return Window(item.amount, used, reset, is_local=self._breaker is not None)

    async def _count_here(self, item: RateLimitItem, key: str) -> tuple[int, float]:
        """Count one more in memory; the hits of the window, and the seconds until it ends.

        The library keeps its end by the wall clock. Where that was set back, the window would last
        longer: another one begins.
        """
        used = await self._memory.incr(key, item.get_expiry())
        left = await self._memory.get_expiry(key) - time.time()
        if left > item.get_expiry():
            await self._memory.clear(key)
            used, left = await self._memory.incr(key, item.get_expiry()), item.get_expiry()
        return used, left

    def _share(self, key: str) -> _Share:
        if key not in self._shares:
            if len(self._shares) >= MAX_KNOWN_WINDOWS:
                self._shares.clear()
            self._shares[key] = _Share()
        return self._shares[key]

    async def _fill_and_take(self, share: _Share, item: RateLimitItem, key: str) -> Window:
        """Raises: RedisUnavailable: it was not filled, for this caller or for one before."""
        assert self._breaker is not None  # noqa: S101  # asked by the caller; tells mypy
        failures = share.failures
        async with share.filling:
            if window := share.take(item.amount):  # somebody else filled it meanwhile
                return window
            if share.failures > failures:  # they had no answer: nobody waits for one in turn
                raise RedisUnavailable
            try:
                await self._breaker.call(lambda: self._fill(share, item, key))
            except RedisUnavailable:
                share.failures += 1
                raise
            return share.take(item.amount) or Window(
                item.amount, share.counted, share.reset, is_local=False
            )

    async def _fill(self, share: _Share, item: RateLimitItem, key: str) -> None:
        assert self._redis is not None  # noqa: S101  # its breaker is there; tells mypy
        assert self._breaker is not None  # noqa: S101  # the same
        size = max(1, item.amount // 200)
        share.counted = await self._redis.incr(key, item.get_expiry(), amount=size)
        share.left = size
        if share.counted == size:
            share.reset = time.monotonic() + item.get_expiry()
        elif share.reset <= time.monotonic():
            # Another process began this window: asked for once, so that a hit is one round trip.
            # In milliseconds: `get_expiry` rounds, and may tell somebody to come back too early.
            share.reset = time.monotonic() + await self._milliseconds_left(item, key) / 1000

    async def _milliseconds_left(self, item: RateLimitItem, key: str) -> int:
        """Until the window in Redis ends. Redis keeps that by the wall clock, too: where its own
        was set back, the window ends as if it began now."""
        assert self._breaker is not None  # noqa: S101  # asked by the caller; tells mypy
        redis, name, longest = (
            self._breaker.redis,
            f"{self._prefix}:{key}",
            item.get_expiry() * 1000,
        )
        left: int = await redis.pttl(name)
        if left > longest:
            await redis.pexpire(name, longest)
        return max(0, min(left, longest))
