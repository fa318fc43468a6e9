"""Figures on the wire."""

from typing import Literal

from pydantic import Field

from app.schemas.base import ResponseSchema


class DatabaseMetricsSchema(ResponseSchema):
    """The connection pool of the process that answers, at this moment."""

    pool_size: int = Field(ge=0, description="connections that are kept open at most", examples=[5])
    checked_in: int = Field(ge=0, description="open and idle", examples=[3])
    checked_out: int = Field(ge=0, description="in use", examples=[2])
    overflow: int = Field(ge=0, description="beyond pool_size", examples=[0])
    total_connections: int = Field(ge=0, description="checked_in + checked_out", examples=[5])


class LatencySchema(ResponseSchema):
    """Percentiles in milliseconds, estimated from histogram buckets as Prometheus'
    `histogram_quantile` does; null where nothing was measured."""

    p50_ms: float | None = Field(examples=[1.8])
    p95_ms: float | None = Field(examples=[4.2])
    p99_ms: float | None = Field(examples=[9.5])


class TrafficSchema(LatencySchema):
    requests: int = Field(examples=[4711])
    rate: float = Field(description="requests per second", examples=[15.7])
    errors: int = Field(description="answers with a 5xx, timeouts included", examples=[0])
    error_rate: float = Field(description="their part of all requests", examples=[0.0])
    rate_limited: int = Field(description="answers with 429", examples=[3])
    timeouts: int = Field(description="answers with 504", examples=[0])


class RouteMetricsSchema(TrafficSchema):
    """One route."""

    method: str = Field(examples=["GET"])
    route: str = Field(
        description="its template; `unmatched` is whatever no route matched",
        examples=["/api/v1/users/{user_id}"],
    )


class HashingSchema(ResponseSchema):
    """Hashing of passwords, all processes."""

    threads: int = Field(description="that can be hashed at once", examples=[2])
    running: int = Field(examples=[0])
    waiting: int = Field(examples=[0])


class RequestMetricsSchema(TrafficSchema):
    """What all processes answered within the window."""

    window_seconds: float = Field(
        description="how far back the figures reach: five minutes at most, or since this process "
        "was started",
        examples=[300.0],
    )
    processes: int = Field(description="that serve", examples=[2])
    in_progress: int = Field(description="requests being answered now", examples=[1])
    event_loop_lag_ms: float = Field(
        description="the longest that an event loop was late in the last 15 s", examples=[1.2]
    )
    hashing: HashingSchema
    slowest: list[RouteMetricsSchema] = Field(description="the five with the highest p95")
    routes: list[RouteMetricsSchema] = Field(description="busiest first")


class HitRateSchema(ResponseSchema):
    hits: int = Field(examples=[960])
    misses: int = Field(examples=[40])
    hit_rate: float | None = Field(
        description="hits / (hits + misses); null where nobody looked", examples=[0.96]
    )


class RedisUsageSchema(ResponseSchema):
    """The cache's Redis at this moment."""

    memory_used_bytes: int = Field(examples=[1_500_000])
    memory_max_bytes: int | None = Field(description="null is no limit", examples=[67_108_864])
    evicted_keys: int = Field(
        description="dropped for want of memory since it was started", examples=[0]
    )
    keys: dict[str, int] = Field(
        description="of ours, by the part after CACHE_PREFIX", examples=[{"session": 12}]
    )
    keys_complete: bool = Field(
        description="false: there are too many to look at each, and `keys` tells of a part"
    )


class CacheMetricsSchema(HitRateSchema):
    """Looks into all caches by all processes within the window, and the Redis behind them."""

    window_seconds: float = Field(description="as for requests", examples=[300.0])
    errors: int = Field(description="calls that Redis did not answer", examples=[0])
    latency: LatencySchema
    breaker: Literal["closed", "open", "none"] = Field(
        description="open: some process leaves Redis alone, since it does not answer; none: the "
        "cache is off or kept in the process"
    )
    caches: dict[str, HitRateSchema] = Field(description="each by itself")
    redis: RedisUsageSchema | None = Field(description="null where it does not answer")
