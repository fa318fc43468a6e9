"""Memory and keys of the cache's Redis, read without blocking it."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

MAX_SCANS = 20
"""Round trips of one count of the keys at most."""
SCAN_COUNT = 1000
"""Keys that Redis scans in each."""
_NAMESPACE = re.compile(rb"[a-z][a-z_-]{0,31}(?=:)")


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Memory and keys of one Redis at one moment.

    Attributes:
        memory: bytes in use.
        max_memory: bytes it may use; 0 is no limit.
        evicted: keys dropped for want of memory since it started.
        keys: by namespace, the part after the prefix.
        is_complete: whether all keys were counted; where there are too many, `keys` counts those
            that were scanned.
    """

    memory: int
    max_memory: int
    evicted: int
    keys: dict[str, int]
    is_complete: bool


async def redis_usage(redis: Redis, prefix: str) -> RedisUsage:
    """Read memory figures, and count the keys that begin with `prefix`.

    Raises:
        Exception: Redis does not answer; any exception of the library or the event loop.
    """
    info = await redis.info("memory")
    stats = await redis.info("stats")
    keys, is_complete = await _keys_by_namespace(redis, prefix)
    return RedisUsage(
        memory=int(info["used_memory"]),
        max_memory=int(info["maxmemory"]),
        evicted=int(stats["evicted_keys"]),
        keys=keys,
        is_complete=is_complete,
    )


async def _keys_by_namespace(redis: Redis, prefix: str) -> tuple[dict[str, int], bool]:
    """Count by SCAN, which may return a key twice while others are added or deleted."""
    counts: Counter[str] = Counter()
    cursor, start = 0, len(prefix) + 1
    for _ in range(MAX_SCANS):
        cursor, keys = await redis.scan(cursor, match=f"{prefix}:*", count=SCAN_COUNT)
        counts.update(_namespace(key[start:]) for key in keys)
        if cursor == 0:
            return dict(counts), True
    return dict(counts), False


def _namespace(key: Any) -> str:
    """The part before the first colon, where it looks like a name: it becomes a metric label."""
    match = _NAMESPACE.match(key)
    return match[0].decode() if match else "other"
