"""`ResultCache`: cached results of functions, computed once for concurrent misses."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from fastapi_cache import Backend, FastAPICache

from app.core.cache.stores import Store
from app.core.exceptions import ServiceUnavailableException
from app.core.telemetry.metrics import CACHE_LOOKUPS

COMPUTING_TTL = 10
"""Seconds that a process waits for another one that computes the same key; then it computes."""
POLL_INTERVAL = 0.02
"""Seconds between the reads of a process that waits for another one."""

_hit = CACHE_LOOKUPS.labels("answers", "hit").inc
_miss = CACHE_LOOKUPS.labels("answers", "miss").inc


class CacheMode(StrEnum):
    """How a caller uses the cache; the names are those of HTTP's `Cache-Control`."""

    DEFAULT = "default"
    """Read the entry, or compute and store it."""
    NO_CACHE = "no-cache"
    """Compute and store, whatever is stored already."""
    NO_STORE = "no-store"
    """Compute, without reading or storing."""
    ONLY_IF_CACHED = "only-if-cached"
    """Read, without computing."""


class Entry(NamedTuple):
    """A cached result.

    Attributes:
        body: as computed, mostly JSON.
        ttl: whole seconds for which it is valid; 0 where it is not stored.
        is_hit: whether it was read from the cache.
    """

    body: bytes
    ttl: int
    is_hit: bool


class _Version(NamedTuple):
    """State of the invalidations when a computation began: their number in this process, and the
    store's mark of the last one in any process."""

    invalidations: int
    mark: bytes | None


class ResultCache(Backend):
    """Results by key in a store, as a backend of fastapi-cache2. Of concurrent misses, in all
    processes, one computes.

    An invalidation wins over a computation that began before it: the result is returned to its
    caller, but neither stored nor returned to those who wait for it.

    Args:
        store: None where caching is switched off: each call computes.
        prefix: first part of every key.
    """

    def __init__(self, store: Store | None, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}:{{answer}}:"
        self._mark = f"{prefix}:invalidation:{{answer}}"
        self._invalidations = 0
        self._computing: dict[str, asyncio.Future[Entry | None]] = {}

    @property
    def is_enabled(self) -> bool:
        return self._store is not None

    async def get_or_compute(
        self,
        key: str,
        expire: int,
        compute: Callable[[], Awaitable[bytes]],
        mode: CacheMode = CacheMode.DEFAULT,
    ) -> Entry:
        """The entry of `key`, computed and stored where there is none.

        Args:
            key: identifies the result completely.
            expire: seconds that an entry is valid, and at most returned as its `ttl`: the end is a
                time of the wall clock, which may have been set back since.
            compute: called by one of concurrent callers. Where it raises, that caller gets the
                exception, and the next one computes.

        Raises:
            ServiceUnavailableException: `ONLY_IF_CACHED`, and there is no entry.
        """
        if mode is CacheMode.ONLY_IF_CACHED:
            return await self._cached(key, expire)
        if self._store is None or mode is CacheMode.NO_STORE:
            return Entry(await compute(), 0, is_hit=False)
        entry, version = await self._find_or_claim(self._store, key)
        is_claimed = entry is None
        (_miss if is_claimed else _hit)()
        if entry is not None and mode is CacheMode.DEFAULT:
            return entry._replace(ttl=min(entry.ttl, expire), is_hit=True)
        try:
            body = await compute()
            return await self._save(self._store, key, body, expire, version)
        except BaseException:
            if is_claimed:
                await self._release(self._store, key, None)
            raise

    async def invalidate(self, pattern: str) -> int:
        """Delete the entries whose keys match a glob; returns their number."""
        self._invalidations += 1
        if self._store is None:
            return 0
        return await self._store.clear(self._prefix + pattern, self._mark)

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Make this the backend of `FastAPICache` while the block runs. A process serves one
        application; where tests run several, the last one opened is current."""
        previous = current_cache()
        _use(self)
        try:
            yield
        finally:
            _use(previous)

    async def get_with_ttl(self, key: str) -> tuple[int, bytes | None]:
        """Seconds that the result is valid, and the result; 0 and None where there is none."""
        entry = await self._find(key)
        return (0, None) if entry is None else (entry.ttl, entry.body)

    async def get(self, key: str) -> bytes | None:
        return (await self.get_with_ttl(key))[1]

    async def set(self, key: str, value: bytes, expire: int | None = None) -> None:
        """Store a result, for a minute by default."""
        if self._store is not None:
            _, version = await self._read(self._store, key)
            await self._save(self._store, key, value, expire or 60, version)

    async def clear(self, namespace: str | None = None, key: str | None = None) -> int:
        """Delete one result, or those whose keys begin with the namespace; returns their number."""
        return await self.invalidate(key or f"{(namespace or '').removeprefix(':')}*")

    async def _find(self, key: str) -> Entry | None:
        return None if self._store is None else (await self._read(self._store, key))[0]

    async def _cached(self, key: str, expire: int) -> Entry:
        entry = await self._find(key)
        if entry is None:
            raise ServiceUnavailableException
        _hit()
        return entry._replace(ttl=min(entry.ttl, expire), is_hit=True)

    async def _read(self, store: Store, key: str) -> tuple[Entry | None, _Version]:
        invalidations = self._invalidations
        stored, mark = await store.get(self._prefix + key, self._mark)
        version = _Version(invalidations, mark)
        if stored is None:
            return None, version
        # The end is stored with the body: asking Redis for the TTL would cost as much again.
        expires, _, body = stored.partition(b"\n")
        ttl = max(1, ceil(int(expires) / 1000 - time.time()))
        return Entry(body, ttl, is_hit=True), version

    async def _find_or_claim(self, store: Store, key: str) -> tuple[Entry | None, _Version]:
        """The entry, or None for the one caller that computes and then calls `_save` or
        `_release`; the others wait for that."""
        entry, version = await self._read(store, key)
        if entry is not None:
            return entry, version
        while (computing := self._computing.get(key)) is not None:
            if (entry := await asyncio.shield(computing)) is not None:
                return entry, version
        self._computing[key] = asyncio.get_running_loop().create_future()
        try:
            entry, version = await self._claim_in_store(store, key)
        except BaseException:
            self._resolve(key, None)
            raise
        if entry is not None:
            self._resolve(key, entry)
        return entry, version

    async def _claim_in_store(self, store: Store, key: str) -> tuple[Entry | None, _Version]:
        """The entry that another process computes meanwhile, or None once this one has to."""
        deadline = time.monotonic() + COMPUTING_TTL
        while not await store.add(self._claim(key), b"", COMPUTING_TTL):
            entry, version = await self._read(store, key)
            if entry is not None or time.monotonic() > deadline:
                return entry, version
            await asyncio.sleep(POLL_INTERVAL)
        # Again: another process may have stored it just before it released its claim.
        entry, version = await self._read(store, key)
        if entry is not None:
            await store.delete(self._claim(key))
        return entry, version

    async def _save(
        self, store: Store, key: str, body: bytes, expire: int, version: _Version
    ) -> Entry:
        """Store the result and pass it to the callers that wait, unless results were invalidated
        since the computation began."""
        stored = b"%d\n%b" % ((time.time() + expire) * 1000, body)
        is_valid = version.invalidations == self._invalidations and await store.set(
            self._prefix + key, stored, expire, self._mark, version.mark
        )
        is_valid = is_valid and version.invalidations == self._invalidations  # storing took a while
        entry = Entry(body, expire if is_valid else 0, is_hit=False)
        await self._release(store, key, entry if is_valid else None)
        return entry

    async def _release(self, store: Store, key: str, entry: Entry | None) -> None:
        """Pass `entry` to the callers that wait; with None, let the next one compute."""
        self._resolve(key, entry)
        await store.delete(self._claim(key))

    def _claim(self, key: str) -> str:
        return f"{self._prefix}{key}:computing"

    def _resolve(self, key: str, entry: Entry | None) -> None:
        computing = self._computing.pop(key, None)
        if computing is not None and not computing.done():
            computing.set_result(entry)


def _use(cache: ResultCache) -> None:
    FastAPICache.reset()
    FastAPICache.init(cache)


_use(ResultCache(None, ""))


def current_cache() -> ResultCache:
    """The cache of this process's application; one that stores nothing where none is open."""
    backend = FastAPICache.get_backend()
    assert isinstance(backend, ResultCache)  # noqa: S101  # nothing else is set
    return backend


async def invalidate_cache(pattern: str) -> int:
    """Delete cached results, for all processes; returns their number.

    Args:
        pattern: a glob over keys, which begin with the cached function's name:
            `get_dashboard_stats*`.
    """
    return await current_cache().invalidate(pattern)
