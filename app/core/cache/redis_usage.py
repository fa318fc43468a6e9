"""Memory and keys of the cache's Redis, read without blocking it."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from app.core.redis.keys import Node, nodes_of, scan

MAX_SCANS = 20
"""Round trips of one count of a server's keys at most."""
SCAN_COUNT = 1000
"""Keys that Redis scans in each."""
_NAMESPACE = re.compile(rb"\{?([a-z][a-z_-]{0,31})\}?(?=:)")


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
    nodes = await nodes_of(redis)
    memory = [await redis.info("memory", **node) for node in nodes]
    stats = [await redis.info("stats", **node) for node in nodes]
    counts: Counter[str] = Counter()
    is_complete = [await _count_keys(redis, node, prefix, counts) for node in nodes]
    return RedisUsage(
        memory=sum(int(one["used_memory"]) for one in memory),
        max_memory=sum(int(one["maxmemory"]) for one in memory),
        evicted=sum(int(one["evicted_keys"]) for one in stats),
        keys=dict(counts),
        is_complete=all(is_complete),
    )


async def _count_keys(redis: Redis, node: Node, prefix: str, counts: Counter[str]) -> bool:
    """Count by SCAN, which may return a key twice while others are added or deleted.

    Returns:
        Whether all keys were counted.
    """
    cursor, start = 0, len(prefix) + 1
    for _ in range(MAX_SCANS):
        cursor, keys = await scan(redis, node, cursor, f"{prefix}:*", SCAN_COUNT)
        counts.update(_namespace(key[start:]) for key in keys)
        if cursor == 0:
            return True
    return False


def _namespace(key: Any) -> str:
    """The part before the first colon, where it looks like a name: it becomes a metric label."""
    match = _NAMESPACE.match(key)
    return match[1].decode() if match else "other"
