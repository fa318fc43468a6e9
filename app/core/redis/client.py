"""Redis clients: one server, Sentinels or a cluster, by the URL."""

from typing import Any, cast

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from app.core.config.redis import RedisAddress, parse_redis

TIMEOUT = 0.1
"""Timeout of connecting and of each reply, in seconds."""
MAX_IN_FLIGHT = 16
"""Maximum number of concurrent commands of a process; further ones wait here, which is no failure
of Redis. One event loop uses only a few; opening 50 connections at once makes them time out."""


def connect_redis(url: str, *, max_connections: int = 2 * MAX_IN_FLIGHT) -> Redis:
    """A client that connects at first use and returns bytes.

    It retries once, immediately, if a pooled connection is dead, but not after a timeout. uvloop
    raises RuntimeError for a write to a connection that was reset.

    It speaks RESP2 and sends no CLIENT command, which some servers do not know and some users may
    not run.

    Returns:
        For a cluster, a `RedisCluster`, which has the same commands for keys; `app.core.redis.keys`
        has what differs.
    """
    address = parse_redis("the URL", SecretStr(url))
    dead: Any = (RedisConnectionError, RuntimeError)  # the parameter's type lacks RuntimeError
    common: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 1, supported_errors=dead),
        "max_connections": max_connections,
        "protocol": 2,
        "driver_info": None,
    }
    if address.kind == "sentinel":
        return _of_sentinels(address, common)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.places]
        cluster = RedisCluster(startup_nodes=nodes, **_options(address), **common)
        return cast("Redis", cluster)
    return Redis.from_url(address.options, **common)


def is_direct(redis: Redis) -> bool:
    """Whether the client has one server."""
    return not isinstance(redis, RedisCluster | _SentinelRedis)


class _SentinelRedis(Redis):
    """A client of the primary that closes its connections to the Sentinels too."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001  # the base's
        await super().aclose(close_connection_pool)
        if isinstance(self.connection_pool, SentinelConnectionPool):
            await self.connection_pool.sentinel_manager.aclose()


def _of_sentinels(address: RedisAddress, common: dict[str, Any]) -> Redis:
    options = _options(address)
    tls = {key: value for key, value in options.items() if key.startswith("ssl")}
    plain = {key: value for key, value in common.items() if key != "max_connections"}
    known = {**plain, **tls, **address.sentinel}
    sentinels = Sentinel(list(address.places), sentinel_kwargs=known)  # type: ignore[no-untyped-call]
    client = sentinels.master_for(address.primary, redis_class=_SentinelRedis, **options, **common)
    return cast("Redis", client)


def _options(address: RedisAddress) -> dict[str, Any]:
    """Credentials, database and parameters, without a host."""
    options: dict[str, Any] = dict(parse_url(address.options))
    options.pop("host", None)
    options.pop("port", None)
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return options
