"""Rate limits: slowapi's decorators and exception, counted by `limits.aio` (decision 8).

slowapi's own check is synchronous: it would freeze the event loop while Redis hangs. Here its
decorator only registers a limit with an endpoint; dependencies in `app.api.limits` do the check.
"""

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, TypeVar

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from slowapi import Limiter
from slowapi.wrappers import Limit, LimitGroup
from starlette.requests import Request

from app.core.config import LimiterSettings
from app.core.redis import CircuitBreaker, RedisUnavailable

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

PREFIX = "myapi:limiter"
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
        reset: when it ends, Unix time.
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
        return max(1, int(self.reset - time.time()) + 1)


class HitCounter:
    """Counts hits in Redis for all processes, and in memory while Redis is away.

    Args:
        breaker: to the limiter's Redis; None where there is none.
    """

    def __init__(self, breaker: CircuitBreaker | None) -> None:
        self._breaker = breaker
        self._memory = MemoryStorage()
        self._resets: dict[str, float] = {}
        self._redis: RedisStorage | None = None
        if breaker is not None:
            self._redis = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=PREFIX,
                connection_pool=breaker.redis.connection_pool,  # type: ignore[arg-type]  # documented, and typed too narrowly
            )

    async def hit(self, item: RateLimitItem, *identifiers: str) -> Window:
        """Count one more."""
        key = item.key_for(*identifiers)
        if self._breaker is not None:
            try:
                return await self._breaker.call(lambda: self._shared_hit(item, key))
            except RedisUnavailable:
                pass
        used = await self._memory.incr(key, item.get_expiry())
        reset = await self._memory.get_expiry(key)
        return Window(item.amount, used, reset, is_local=self._breaker is not None)

    async def _shared_hit(self, item: RateLimitItem, key: str) -> Window:
        assert self._redis is not None  # noqa: S101  # its breaker is there; tells mypy
        used = await self._redis.incr(key, item.get_expiry())
        reset = self._resets.get(key, 0.0)
        now = time.time()
        if used == 1:
            reset = now + item.get_expiry()
        elif reset <= now:
            # Another process began this window: asked for once, so that a hit is one round trip.
            reset = await self._redis.get_expiry(key)
        if len(self._resets) >= MAX_KNOWN_WINDOWS:
            self._resets.clear()
        self._resets[key] = reset
        return Window(item.amount, used, reset, is_local=False)
