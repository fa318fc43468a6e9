"""Answers by key, computed once however many ask at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import NamedTuple, Self
from weakref import WeakSet

from fastapi_cache.types import Backend

from app.core.cache.stores import Store
from app.core.telemetry.metrics import CACHE_LOOKUPS

COMPUTING_TTL = 10
"""Seconds that other processes wait for the one that computes; then they do it themselves."""
POLL_INTERVAL = 0.02
"""Seconds between their looks whether the answer is there."""

_hit = CACHE_LOOKUPS.labels("answers", "hit").inc
_miss = CACHE_LOOKUPS.labels("answers", "miss").inc
_open: WeakSet["AnswerCache"] = WeakSet()


class Entry(NamedTuple):
    """An answer, and the whole seconds it may still be given."""

    ttl: int
    body: bytes


class Began(NamedTuple):
    """When a computation began: how often answers had been invalidated here, and which time was the
    last anywhere."""

    here: int
    anywhere: bytes | None


class AnswerCache:
    """Keeps answers in a store. Of those who miss at once, in all processes, one computes.

    An invalidation wins over what began before it: that is not kept, and nobody who waits for it
    gets it.

    Args:
        store: None where caching is switched off: everybody computes.
        prefix: first part of every key.
    """

    def __init__(self, store: Store | None, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}:answer:"
        self._mark = f"{prefix}:invalidation:answers"
        self._invalidations = 0
        self._computing: dict[str, asyncio.Future[Entry | None]] = {}
        _open.add(self)

    @property
    def is_enabled(self) -> bool:
        return self._store is not None

    async def remember(
        self, key: str, expire: int, compute: Callable[[], Awaitable[bytes]]
    ) -> Entry:
        """What is kept under `key`, or else what `compute` gives, which is then kept; for 0 seconds
        where caching is switched off.

        Args:
            key: names the question whole, whoever asks.
            expire: seconds.
            compute: called by one of those who ask at once. Where it raises, so does this for
                its caller, and the next one computes.
        """
        async with self.lookup(expire) as lookup:
            body = await lookup.get(key)
            if body is None:
                body = await compute()
                await lookup.set(key, body, expire)
            return Entry(lookup.ttl or 0, body)

    def lookup(self, longest: int) -> "Lookup":
        """One look for an answer: an `async with`. Whoever is told that there is none sets it
        within the block; where they fail to, the next one is told so.

        Args:
            longest: seconds that an answer may be given at most. Its end is a time of the wall
                clock, which may have been set back since, or be another machine's.
        """
        return Lookup(self, longest)

    async def invalidate(self, pattern: str) -> int:
        """Forget the answers whose keys match a glob; how many there were."""
        self._invalidations += 1
        if self._store is None:
            return 0
        return await self._store.clear(self._prefix + pattern, self._mark)

    async def find_or_lead(self, key: str) -> tuple[Entry | None, Began]:
        """What is kept, or None for the one who has to compute it; and what they tell `keep`.

        That one calls `keep` or `give_up` afterwards; everybody else who asks meanwhile waits.
        """
        if self._store is None:
            return None, Began(0, None)
        entry, began = await self._find_or_lead(key)
        (_miss if entry is None else _hit)()
        return entry, began

    async def _find_or_lead(self, key: str) -> tuple[Entry | None, Began]:
        entry, began = await self._read(key)
        if entry is not None:
            return entry, began
        while (flight := self._computing.get(key)) is not None:
            if (entry := await asyncio.shield(flight)) is not None:
                return entry, began
        self._computing[key] = asyncio.get_running_loop().create_future()
        try:
            entry, began = await self._wait_for_other_processes(key)
        except BaseException:
            self._land(key, None)
            raise
        if entry is not None:
            self._land(key, entry)
        return entry, began

    async def keep(self, key: str, body: bytes, expire: int, began: Began) -> bool:
        """Keep what was computed, and hand it to all who wait for it, unless answers have been
        invalidated since it began; whether they have not."""
        if self._store is None:
            return False
        expires = time.time() + expire
        kept = b"%d\n%b" % (expires * 1000, body)
        holds = began.here == self._invalidations and await self._store.set(
            self._prefix + key, kept, expire, self._mark, began.anywhere
        )
        holds = holds and began.here == self._invalidations  # it took a while to store it
        self._land(key, Entry(expire, body) if holds else None)
        await self._store.delete(self._claim(key))
        return holds

    async def give_up(self, key: str) -> None:
        """Let the next one compute."""
        self._land(key, None)
        if self._store is not None:
            await self._store.delete(self._claim(key))

    async def _read(self, key: str) -> tuple[Entry | None, Began]:
        assert self._store is not None  # noqa: S101  # asked by the caller; tells mypy
        here = self._invalidations
        kept, anywhere = await self._store.get(self._prefix + key, self._mark)
        began = Began(here, anywhere)
        if kept is None:
            return None, began
        # The end is kept with the answer: to ask Redis for it would cost as much again.
        expires, _, body = kept.partition(b"\n")
        return Entry(max(1, ceil(int(expires) / 1000 - time.time())), body), began

    async def _wait_for_other_processes(self, key: str) -> tuple[Entry | None, Began]:
        assert self._store is not None  # noqa: S101  # as above
        gives_up = time.monotonic() + COMPUTING_TTL
        while not await self._store.add(self._claim(key), b"", COMPUTING_TTL):
            entry, began = await self._read(key)
            if entry is not None or time.monotonic() > gives_up:
                return entry, began
            await asyncio.sleep(POLL_INTERVAL)
        entry, began = await self._read(key)  # somebody may have kept it just before they let go
        if entry is not None:
            await self._store.delete(self._claim(key))
        return entry, began

    def _claim(self, key: str) -> str:
        return f"{self._prefix}{key}:computing"

    def _land(self, key: str, entry: Entry | None) -> None:
        flight = self._computing.pop(key, None)
        if flight is not None and not flight.done():
            flight.set_result(entry)


class Lookup(Backend):
    """What fastapi-cache2 sees of the cache during one request.

    Attributes:
        leads: the key that this request has to compute.
        ttl: seconds that the answer may still be given; None where it is not kept.
        is_hit: whether it was remembered.
    """

    def __init__(self, answers: AnswerCache, longest: int) -> None:
        self._answers = answers
        self._longest = longest
        self.leads: str | None = None
        self._began = Began(0, None)
        self.ttl: int | None = None
        self.is_hit = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.leads is not None:
            await self._answers.give_up(self.leads)

    async def get_with_ttl(self, key: str) -> tuple[int, bytes | None]:
        entry, self._began = await self._answers.find_or_lead(key)
        if entry is None:
            self.leads = key
            return 0, None
        self.ttl, self.is_hit = min(entry.ttl, self._longest), True
        return self.ttl, entry.body

    async def get(self, key: str) -> bytes | None:
        return (await self.get_with_ttl(key))[1]

    async def set(self, key: str, value: bytes, expire: int | None = None) -> None:
        is_kept = await self._answers.keep(key, value, expire or 0, self._began)
        self.leads = None
        self.ttl, self.is_hit = expire if is_kept else None, False

    async def clear(self, namespace: str | None = None, key: str | None = None) -> int:
        return await self._answers.invalidate(key or f"{namespace}*")


async def invalidate_cache(pattern: str) -> int:
    """Forget remembered answers, for all processes; how many there were.

    Args:
        pattern: a glob over keys, which begin with the endpoint's name: `get_dashboard_stats*`.
    """
    return sum([await answers.invalidate(pattern) for answers in list(_open)])
