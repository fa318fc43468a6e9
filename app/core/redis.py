"""Redis clients that give up soon: Redis speeds things up and must never hold them up."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

TIMEOUT = 0.2
"""Seconds to connect, and for each answer (decision 7)."""


def connect_redis(url: str, *, max_connections: int = 64) -> Redis:
    """A client that connects at first use, answers bytes and retries once at most."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
        max_connections=max_connections,
        client_name="backend-api",
    )
