"""Schemas of the JSON metrics."""

from typing import Literal

from pydantic import Field

from app.schemas.base import ResponseSchema


class DatabaseMetricsSchema(ResponseSchema):
    """The database connection pool of the answering process, at this moment."""

    pool_size: int = Field(ge=0, description="largest number of idle connections", examples=[5])
    checked_in: int = Field(ge=0, description="open and idle", examples=[3])
    checked_out: int = Field(ge=0, description="in use", examples=[2])
    overflow: int = Field(ge=0, description="beyond pool_size", examples=[0])
    total_connections: int = Field(ge=0, description="checked_in + checked_out", examples=[5])


class ReplicaSchema(ResponseSchema):
    """A read replica, as the answering process sees it."""

    name: str = Field(description="host and port", examples=["replica-1:5432"])
    problem: str | None = Field(
        description="why it is not read; null where it is", examples=["lags more than 5 s"]
    )
    lag: float | None = Field(
        description="seconds behind the primary; null while unknown", examples=[0.0]
    )


class ReplicaListSchema(ResponseSchema):
    """The read replicas of DATABASE_REPLICA_URLS, in their order."""

    items: list[ReplicaSchema]


class LatencySchema(ResponseSchema):
    """Percentiles in milliseconds, estimated from histogram buckets like Prometheus'
    `histogram_quantile`; null if nothing was measured."""

    p50_ms: float | None = Field(examples=[1.8])
    p95_ms: float | None = Field(examples=[4.2])
    p99_ms: float | None = Field(examples=[9.5])


class TrafficSchema(LatencySchema):
    requests: int = Field(examples=[4711])
    rate: float = Field(description="requests per second", examples=[15.7])
    errors: int = Field(description="responses with 5xx, timeouts included", examples=[0])
    client_errors: int = Field(description="responses with 4xx", examples=[12])
    error_rate: float = Field(description="errors / requests", examples=[0.0])
    rate_limited: int = Field(description="responses with 429", examples=[3])
    timeouts: int = Field(description="responses with 504", examples=[0])


class RouteMetricsSchema(TrafficSchema):
    """Traffic of one route."""

    method: str = Field(examples=["GET"])
    route: str = Field(
        description="path template; `unmatched`: requests that matched no route",
        examples=["/api/v1/users/{user_id}"],
    )


class HashingSchema(ResponseSchema):
    """Password hashing in all processes."""

    threads: int = Field(description="hashes that can run at once", examples=[2])
    running: int = Field(examples=[0])
    waiting: int = Field(examples=[0])


class RequestMetricsSchema(TrafficSchema):
    """Traffic of all processes within the window."""

    window_seconds: float = Field(
        description="length of the window: five minutes at most, or since this process started",
        examples=[300.0],
    )
    processes: int = Field(description="serving processes", examples=[2])
    in_progress: int = Field(description="requests being answered now", examples=[1])
    event_loop_lag_ms: float = Field(
        description="longest delay of an event loop in the last 15 s", examples=[1.2]
    )
    hashing: HashingSchema
    slowest: list[RouteMetricsSchema] = Field(description="the five with the highest p95")
    routes: list[RouteMetricsSchema] = Field(description="busiest first")


class HitRateSchema(ResponseSchema):
    hits: int = Field(examples=[960])
    misses: int = Field(examples=[40])
    hit_rate: float | None = Field(
        description="hits / (hits + misses); null without lookups", examples=[0.96]
    )


class RedisUsageSchema(ResponseSchema):
    """The cache's Redis server at this moment."""

    memory_used_bytes: int = Field(examples=[1_500_000])
    memory_max_bytes: int | None = Field(description="null: no limit", examples=[67_108_864])
    evicted_keys: int = Field(
        description="keys evicted for lack of memory since the server started", examples=[0]
    )
    keys: dict[str, int] = Field(
        description="number of the application's keys, by the part after CACHE_PREFIX",
        examples=[{"session": 12}],
    )
    keys_complete: bool = Field(
        description="false: there are too many keys, and `keys` counts only some of them"
    )


class CacheMetricsSchema(HitRateSchema):
    """Lookups in all caches by all processes within the window, and the Redis server."""

    window_seconds: float = Field(
        description="length of the window, as for requests", examples=[300.0]
    )
    errors: int = Field(description="calls that Redis did not answer", examples=[0])
    latency: LatencySchema
    breaker: Literal["closed", "open", "none"] = Field(
        description="circuit breaker. open: some process does not call Redis, since it failed; "
        "none: the cache is off or in memory"
    )
    caches: dict[str, HitRateSchema] = Field(description="each cache")
    redis: RedisUsageSchema | None = Field(description="null if Redis does not answer")
