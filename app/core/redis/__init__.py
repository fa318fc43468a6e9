"""Redis: clients, and the circuit breaker around them."""

from app.core.redis.breaker import PROBE_INTERVAL, CircuitBreaker, RedisUnavailable
from app.core.redis.client import TIMEOUT, connect_redis
from app.core.redis.keys import check_redis

__all__ = [
    "PROBE_INTERVAL",
    "TIMEOUT",
    "CircuitBreaker",
    "RedisUnavailable",
    "check_redis",
    "connect_redis",
]
