"""Commands on many keys, for one server and for a cluster.

In a cluster, each key has a slot, by the part of it in braces or else by all of it, and one command
reaches the keys of one slot alone.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

PROBES = 16
"""Keys of a probe of a cluster. They are of 16 slots: a cluster of three nodes lacks one of them in
one of 200 cases."""
PROBE_TTL = 60
"""Expiry of a probe's keys, in seconds."""

OF_CLUSTER = ("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN")
"""Codes of errors that only a node of a cluster gives."""

Node = dict[str, Any]


def is_node_of_cluster(error: BaseException) -> bool:
    """Whether a server's error is one that only a node of a cluster gives."""
    if not isinstance(error, ResponseError):
        return False
    return (error.status_code or str(error).partition(" ")[0]) in OF_CLUSTER


async def read_keys(redis: Redis, keys: Sequence[str]) -> list[bytes | None]:
    """The values of keys; those of one slot at one moment, and without a cluster all of them."""
    if isinstance(redis, RedisCluster):
        values: Any = await redis.mget_nonatomic(list(keys))
    else:
        values = await redis.mget(list(keys))
    return list(values)


async def nodes_of(redis: Redis, key: str | None = None) -> list[Node]:
    """The servers that have keys, as arguments of a command; one for a single server.

    Args:
        redis: the client.
        key: only the server that has it.
    """
    if not isinstance(redis, RedisCluster):
        return [{}]
    await redis.initialize()
    nodes = redis.get_primaries() if key is None else [redis.get_node_from_key(key)]
    return [{"target_nodes": node} for node in nodes]


async def scan(
    redis: Redis, node: Node, cursor: int, pattern: str, count: int
) -> tuple[int, list[bytes]]:
    """One step of a scan of a server's keys.

    Returns:
        Where the next step begins, 0 at the end, and the keys.
    """
    step: Any = await redis.scan(cursor, match=pattern, count=count, **node)
    position, keys = step
    if isinstance(position, dict):  # of a cluster: by the name of the node
        (position,) = position.values()
    return int(position), keys


async def check_redis(redis: Redis, prefix: str) -> None:
    """Check that Redis is usable: a write, and a read of two keys, in one round trip.

    PING and many reads succeed on a replica, a Redis out of memory and a cluster node as well.

    Args:
        redis: the client.
        prefix: of the service's keys.

    Raises:
        Exception: any error of the library or the event loop.
    """
    key = f"{prefix}:probe"
    pipeline = redis.pipeline(transaction=False)
    if isinstance(redis, RedisCluster):
        for number in range(PROBES):
            pipeline.set(f"{key}:{number}", b"", ex=PROBE_TTL)
    else:
        pipeline.set(key, b"", ex=PROBE_TTL)
        pipeline.mget(key, f"{key}:other")  # of two slots
    await pipeline.execute()
