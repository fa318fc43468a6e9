"""Where answers are kept: in Redis for all processes, or, where there is none, in this one."""

import time
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Protocol

from cachetools import TLRUCache

from app.core.redis import CircuitBreaker, RedisUnavailable

MAX_IN_MEMORY = 1024
"""Answers that a process without Redis keeps."""
SCAN_COUNT = 500
"""Keys that Redis looks at in one step of a scan: about 0.1 ms, in which it serves nobody else."""


class Store(Protocol):
    """Bytes by key, each for so many seconds. A store that is away is empty, and raises nothing."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, expire: int) -> None: ...

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        """Set the key unless it is there; whether the caller may go on as if they had."""

    async def delete(self, key: str) -> None: ...

    async def clear(self, pattern: str) -> int:
        """Delete the keys that match a glob; how many there were."""


class RedisStore:
    """Shared by all processes; empty while Redis is away."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._redis = breaker.redis

    async def get(self, key: str) -> bytes | None:
        try:
            [value] = await self._breaker.get(key)
        except RedisUnavailable:
            return None
        return value

    async def set(self, key: str, value: bytes, expire: int) -> None:
        await self._ask(lambda: self._redis.set(key, value, ex=expire), None)

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        added = await self._ask(lambda: self._redis.set(key, value, ex=expire, nx=True), b"")
        return added is not None  # what Redis says where the key was there

    async def delete(self, key: str) -> None:
        await self._ask(lambda: self._redis.unlink(key), 0)

    async def clear(self, pattern: str) -> int:
        """By SCAN and UNLINK: KEYS and DEL would hold up everybody else."""

        async def scan(cursor: int) -> tuple[int, int]:
            """Delete what one step finds; where the next begins, and how many there were."""
            cursor, found = await self._redis.scan(cursor, match=pattern, count=SCAN_COUNT)
            return cursor, await self._redis.unlink(*found) if found else 0

        count: int = 0
        cursor: int = 0
        while True:
            cursor, deleted = await self._ask(partial(scan, cursor), (0, 0))
            count += deleted
            if cursor == 0:
                return count

    async def _ask(self, work: Callable[[], Awaitable[Any]], otherwise: Any) -> Any:
        try:
            return await self._breaker.call(work)
        except RedisUnavailable:
            return otherwise


class MemoryStore:
    """This process's own; the answers used least recently give way."""

    def __init__(self) -> None:
        self._kept: TLRUCache[str, tuple[bytes, float]] = TLRUCache(
            MAX_IN_MEMORY, ttu=lambda _, kept, __: kept[1], timer=time.monotonic
        )

    async def get(self, key: str) -> bytes | None:
        kept = self._kept.get(key)
        return kept[0] if kept else None

    async def set(self, key: str, value: bytes, expire: int) -> None:
        self._kept[key] = value, time.monotonic() + expire

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        if key in self._kept:
            return False
        await self.set(key, value, expire)
        return True

    async def delete(self, key: str) -> None:
        self._kept.pop(key, None)

    async def clear(self, pattern: str) -> int:
        found = [key for key in list(self._kept) if fnmatchcase(key, pattern)]
        for key in found:
            self._kept.pop(key, None)
        return len(found)
