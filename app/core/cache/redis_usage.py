"""What a cache's Redis holds, asked for without holding it up."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

MAX_SCANS = 20
"""Round trips at most, for one look at the keys."""
SCAN_COUNT = 1000
"""Keys that Redis looks at in each."""
_NAMESPACE = re.compile(rb"[a-z][a-z_-]{0,31}(?=:)")


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """One Redis at one moment.

    Attributes:
        memory: bytes in use.
        max_memory: bytes it may use; 0 is no limit.
        evicted: keys dropped for want of memory since it started.
        keys: by namespace, the part after the prefix.
        is_complete: whether all keys were looked at; where there are too many, `keys` is of those
            that were.
    """

    memory: int
    max_memory: int
    evicted: int
    keys: dict[str, int]
    is_complete: bool


async def redis_usage(redis: Redis, prefix: str) -> RedisUsage:
    """Ask it.

    Args:
        redis: to ask.
        prefix: that our keys begin with; others are not counted.

    Raises:
        Exception: it does not answer; whatever the library or the event loop raises.
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
    """By SCAN, which may tell of a key twice while others come and go: a good estimate."""
    counts: Counter[str] = Counter()
    cursor, start = 0, len(prefix) + 1
    for _ in range(MAX_SCANS):
        cursor, keys = await redis.scan(cursor, match=f"{prefix}:*", count=SCAN_COUNT)
        counts.update(_namespace(key[start:]) for key in keys)
        if cursor == 0:
            return dict(counts), True
    return dict(counts), False


def _namespace(key: Any) -> str:
    """The part before the first colon, where it looks like a name: it becomes a label."""
    match = _NAMESPACE.match(key)
    return match[0].decode() if match else "other"
