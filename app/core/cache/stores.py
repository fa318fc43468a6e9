"""Storage of the result cache: Redis for all processes, or this process's memory."""

import time
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from secrets import token_bytes
from typing import Any, Protocol

from cachetools import TLRUCache

from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.redis.keys import nodes_of, scan

MAX_IN_MEMORY = 1024
"""Answers that a process without Redis stores."""
SCAN_COUNT = 500
"""Keys that Redis scans in one step: about 0.1 ms, in which it serves no other client."""
MARK_TTL = 600
"""Seconds that a mark exists: longer than any computation that began before it was changed."""
MAX_UNCLEARED = 100
"""Patterns that wait for Redis to be back; results of older ones stay until they expire."""
_SET_UNLESS_CHANGED = """
if (redis.call('GET', KEYS[2]) or '') == ARGV[3] then
    return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
"""

Call = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Store(Protocol):
    """Bytes by key, each with a lifetime. A store that is away is empty, and raises nothing. All
    keys and marks have the same hash tag: a cluster stores them together."""

    async def get(self, *keys: str) -> Sequence[bytes | None]:
        """The values of keys, read at one moment."""

    async def set(
        self, key: str, value: bytes, expire: int, mark: str, unchanged: bytes | None
    ) -> bool:
        """Set the key, unless `mark` was changed since it was read as `unchanged`; returns whether
        it was unchanged, as far as the store knows."""

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        """Set the key where it is not set; returns whether it was not, or the store is away."""

    async def delete(self, key: str) -> None: ...

    async def clear(self, pattern: str, mark: str) -> int:
        """Delete the keys that match a glob, and change `mark`; returns their number."""


class RedisStore:
    """Redis, shared by all processes; empty while it is away. Patterns that could not be cleared
    meanwhile are cleared when it is back, before this process reads from it again."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._redis = breaker.redis
        self._set_unless_changed = breaker.redis.register_script(_SET_UNLESS_CHANGED)
        self._uncleared: dict[tuple[str, str], object] = {}
        breaker.before_closing.append(self._clear_missed)

    async def get(self, *keys: str) -> Sequence[bytes | None]:
        try:
            return await self._breaker.get(*keys)
        except RedisUnavailable:
            return [None] * len(keys)

    async def set(
        self, key: str, value: bytes, expire: int, mark: str, unchanged: bytes | None
    ) -> bool:
        arguments = value, expire, unchanged or b""
        work = partial(self._set_unless_changed, keys=[key, mark], args=arguments)
        return bool(await self._ask(work, otherwise=True))

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        added = await self._ask(lambda: self._redis.set(key, value, ex=expire, nx=True), b"")
        return added is not None  # what Redis says where the key was there

    async def delete(self, key: str) -> None:
        await self._ask(lambda: self._redis.unlink(key), 0)

    async def clear(self, pattern: str, mark: str) -> int:
        which, this_time = (pattern, mark), object()
        self._uncleared[which] = this_time
        if len(self._uncleared) > MAX_UNCLEARED:
            del self._uncleared[next(iter(self._uncleared))]
        try:
            count = await self._clear(pattern, mark, self._breaker.call)
        except RedisUnavailable:
            self._breaker.open("results could not be invalidated")
            return 0
        if self._uncleared.get(which) is this_time:  # and not a later one, which may have failed
            del self._uncleared[which]
        return count

    async def _clear(self, pattern: str, mark: str, call: Call) -> int:
        """By SCAN and UNLINK: KEYS and DEL would block other clients."""

        async def step(cursor: int) -> tuple[int, int]:
            """Delete what one step finds; returns where the next begins, and the number."""
            cursor, found = await scan(self._redis, node, cursor, pattern, SCAN_COUNT)
            return cursor, await self._redis.unlink(*found) if found else 0

        # First: what is set after this comes from a computation that began after it.
        await call(lambda: self._redis.set(mark, token_bytes(16), ex=MARK_TTL))
        [node] = await call(lambda: nodes_of(self._redis, mark))
        count: int = 0
        cursor: int = 0
        while True:
            cursor, deleted = await call(partial(step, cursor))
            count += deleted
            if cursor == 0:
                return count

    async def _clear_missed(self) -> bool:
        was_missed = bool(self._uncleared)
        while self._uncleared:
            which, this_time = next(iter(self._uncleared.items()))
            await self._clear(*which, _at_once)
            if self._uncleared.get(which) is this_time:
                del self._uncleared[which]
        return was_missed

    async def _ask(self, work: Callable[[], Awaitable[Any]], otherwise: Any) -> Any:
        try:
            return await self._breaker.call(work)
        except RedisUnavailable:
            return otherwise


async def _at_once(work: Callable[[], Awaitable[Any]]) -> Any:
    """Call without the breaker, which is still open."""
    return await work()


class MemoryStore:
    """This process's memory; the least recently used results are evicted. It needs no marks:
    `ResultCache` counts the invalidations of its process."""

    def __init__(self) -> None:
        self._entries: TLRUCache[str, tuple[bytes, float]] = TLRUCache(
            MAX_IN_MEMORY, ttu=lambda _, entry, __: entry[1], timer=time.monotonic
        )

    async def get(self, *keys: str) -> Sequence[bytes | None]:
        return [entry[0] if (entry := self._entries.get(key)) else None for key in keys]

    async def set(
        self,
        key: str,
        value: bytes,
        expire: int,
        mark: str,  # noqa: ARG002
        unchanged: bytes | None,  # noqa: ARG002
    ) -> bool:
        self._entries[key] = value, time.monotonic() + expire
        return True

    async def add(self, key: str, value: bytes, expire: int) -> bool:
        if key in self._entries:
            return False
        self._entries[key] = value, time.monotonic() + expire
        return True

    async def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    async def clear(self, pattern: str, mark: str) -> int:  # noqa: ARG002
        found = [key for key in list(self._entries) if fnmatchcase(key, pattern)]
        for key in found:
            self._entries.pop(key, None)
        return len(found)
