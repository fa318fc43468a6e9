"""`HitCounter`: counts the hits of rate limits by `limits.aio`, in Redis or in memory."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from redis.asyncio import Redis
from slowapi.errors import RateLimitExceeded
from slowapi.wrappers import Limit

from app.core.limiter.registry import by_address
from app.core.redis import CircuitBreaker, RedisUnavailable

MAX_KNOWN_WINDOWS = 10_000
"""Maximum number of windows whose end a process caches: about 2 MB."""


@lru_cache(maxsize=128)
def parsed(value: str) -> RateLimitItem:
    """A rate such as `5/minute`, parsed."""
    return parse(value)


@dataclass(frozen=True, slots=True)
class Window:
    """State of one limit for one key.

    Attributes:
        item: the limit.
        used: hits so far, this one included.
        reset: end of the window, by the monotonic clock.
        is_local: whether only this process's hits were counted.
    """

    item: RateLimitItem
    used: int
    reset: float
    is_local: bool

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.item.amount

    def headers(self, policy: str, before: Mapping[str, str] | None = None) -> dict[str, str]:
        """RateLimit headers by draft-ietf-httpapi-ratelimit-headers, and one more if the count
        is local.

        Args:
            policy: name of the limit for clients, in ASCII without quotes.
            before: headers of the response, whose other limits stay in the lists.
        """
        quota, length = self.item.amount, self.item.get_expiry()
        members = {
            "RateLimit-Policy": f'"{policy}";q={quota};w={length}',
            "RateLimit": f'"{policy}";r={max(0, quota - self.used)};t={self.retry_after()}',
        }
        listed = {
            name: f"{before[name]}, {member}" if before and name in before else member
            for name, member in members.items()
        }
        return {**listed, **({"X-RateLimit-Storage": "memory"} if self.is_local else {})}

    def retry_after(self) -> int:
        """Whole seconds until the window ends, at least 1 (RFC 9110 §10.2.3)."""
        return max(1, ceil(self.reset - time.monotonic()))


@dataclass(slots=True)
class _Share:
    """Hits of one window that this process reserved in Redis in advance.

    Attributes:
        counted: count in Redis at the last reservation.
        left: reserved hits that are not used yet.
        reset: end of the window, by the monotonic clock.
        filling: locked during a reservation, so that a burst makes one and not one per caller.
        failures: number of failed reservations.
    """

    counted: int = 0
    left: int = 0
    reset: float = 0.0
    failures: int = 0
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, item: RateLimitItem) -> Window | None:
        """Use one reserved hit; None if none is left or the window has ended."""
        if self.left <= 0 or self.reset <= time.monotonic():
            return None
        self.left -= 1
        return Window(item, self.counted - self.left, self.reset, is_local=False)


# In one step: a window that ended meanwhile would begin again, and never end.
_TAKE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('DECR', KEYS[1]) <= 0 then
    redis.call('DEL', KEYS[1])
end
"""


class _Storage(RedisStorage):
    """The library's storage with a client of our own, for one server, Sentinels or a cluster.

    Attributes:
        take_back: the script that takes one hit back.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._client = redis
        self.take_back = redis.register_script(_TAKE_BACK)
        super().__init__("async+redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        assert isinstance(self.bridge, RedispyBridge)  # noqa: S101  # by `implementation`
        client: Any = self._client  # the library's type of a client is narrower
        self.bridge.storage = client
        self.bridge.connection_getter = lambda _: client


class HitCounter:
    """Counts hits in Redis for all processes, and in memory while Redis is unavailable.

    Of a large limit a process reserves half a percent in advance, so that most hits need no round
    trip; a limit under 400 is counted hit by hit. A caller of several processes may therefore be
    refused slightly early, but never late.

    Args:
        breaker: to the limiter's Redis; None without Redis.
        prefix: of every key.
    """

    def __init__(self, breaker: CircuitBreaker | None, prefix: str) -> None:
        self._breaker = breaker
        self._prefix = prefix
        self._memory = MemoryStorage()
        self._shares: dict[str, _Share] = {}
        self._redis: _Storage | None = None
        if breaker is not None:
            self._redis = _Storage(breaker.redis, prefix)

    async def hit(self, item: RateLimitItem, *identifiers: str) -> Window:
        """Count one hit."""
        key = item.key_for(*identifiers)
        if self._breaker is not None:
            share = self._share(key)
            try:
                return share.take(item) or await self._fill_and_take(share, item, key)
            except RedisUnavailable:
                pass
        used, left = await self._count_here(item, key)
        reset = time.monotonic() + left
        return Window(item, used, reset, is_local=self._breaker is not None)

    async def hit_or_raise(self, item: RateLimitItem, scope: str, key: str) -> Window:
        """Count one hit.

        Args:
            item: the limit.
            scope: of the limit, and its name in the headers.
            key: of the caller.

        Raises:
            RateLimitExceeded: it is one too many; the exception has the headers of the response.
        """
        window = await self.hit(item, scope, key)
        if window.is_exceeded:
            raise _refusal(window, scope)
        return window

    async def give_back(self, window: Window, scope: str, key: str) -> None:
        """Take one hit back that was counted in this window, if it still lasts. The first hit after
        the last one was taken back begins a new window.

        Args:
            window: what `hit` returned.
            scope: as at the hit; so is `key`.
        """
        if window.reset <= time.monotonic():
            return
        name = window.item.key_for(scope, key)
        if self._redis is None or self._breaker is None or window.is_local:
            if await self._memory.get(name) > 0:
                await self._memory.incr(name, window.item.get_expiry(), -1)
            return
        script = self._redis.take_back
        with suppress(RedisUnavailable):  # one hit less is left, for a minute
            await self._breaker.call(lambda: script([f"{self._prefix}:{name}"]))

    async def refuse_if_used_up(self, item: RateLimitItem, scope: str, key: str) -> None:
        """Refuse where no hit is left, as far as this process knows, without counting one: before
        what is to be counted only if it fails.

        Raises:
            RateLimitExceeded: none is left.
        """
        name = item.key_for(scope, key)
        share = self._shares.get(name)
        if share is not None and share.counted >= item.amount and share.reset > time.monotonic():
            raise _refusal(Window(item, share.counted, share.reset, is_local=False), scope)
        if (used := await self._memory.get(name)) >= item.amount:
            reset = time.monotonic() + await self._memory.get_expiry(name) - time.time()
            raise _refusal(Window(item, used, reset, is_local=self._breaker is not None), scope)

    async def _count_here(self, item: RateLimitItem, key: str) -> tuple[int, float]:
        """Count one hit in memory.

        The library stores the window's end by the wall clock. If that was set back, the window
        would last longer: another one begins.

        Returns:
            The hits of the window, and the seconds until it ends.
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
        """Raises: RedisUnavailable: the reservation failed, for this caller or one before."""
        assert self._breaker is not None  # noqa: S101  # checked by the caller; for mypy
        failures = share.failures
        async with share.filling:
            if window := share.take(item):  # another caller reserved meanwhile
                return window
            if share.failures > failures:  # another caller's attempt failed: do not try again
                raise RedisUnavailable
            try:
                await self._breaker.call(lambda: self._fill(share, item, key))
            except RedisUnavailable:
                share.failures += 1
                raise
            return share.take(item) or Window(item, share.counted, share.reset, is_local=False)

    async def _fill(self, share: _Share, item: RateLimitItem, key: str) -> None:
        assert self._redis is not None  # noqa: S101  # set together with the breaker; for mypy
        assert self._breaker is not None  # noqa: S101  # checked by the caller; for mypy
        size = max(1, item.amount // 200)
        share.counted = await self._redis.incr(key, item.get_expiry(), amount=size)
        share.left = size
        if share.counted == size:
            share.reset = time.monotonic() + item.get_expiry()
        elif share.reset <= time.monotonic():
            # Another process began this window: its end is read once, so that a hit is one round
            # trip. In milliseconds, since a rounded `get_expiry` may make Retry-After too short.
            share.reset = time.monotonic() + await self._milliseconds_left(item, key) / 1000

    async def _milliseconds_left(self, item: RateLimitItem, key: str) -> int:
        """Milliseconds until the window in Redis ends. Redis stores the end by its wall clock; if
        that was set back, the window counts as new."""
        assert self._breaker is not None  # noqa: S101  # checked by the caller; for mypy
        redis, name, longest = (
            self._breaker.redis,
            f"{self._prefix}:{key}",
            item.get_expiry() * 1000,
        )
        left: int = await redis.pttl(name)
        if left > longest:
            await redis.pexpire(name, longest)
        return max(0, min(left, longest))


def _refusal(window: Window, scope: str) -> RateLimitExceeded:
    refusal = RateLimitExceeded(
        Limit(
            window.item,
            key_func=by_address,
            scope=scope,
            per_method=False,
            methods=None,
            error_message=None,
            exempt_when=None,
            cost=1,
            override_defaults=False,
        )
    )
    refusal.headers = {**window.headers(scope), "Retry-After": str(window.retry_after())}
    return refusal
