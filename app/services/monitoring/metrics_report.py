"""Calculation of the JSON metrics from counters and histograms: rates, percentiles, hit rates."""

from collections.abc import Mapping
from typing import Any

from app.core.cache.redis_usage import RedisUsage
from app.core.telemetry.exposition import MetricsSnapshot
from app.core.telemetry.traffic import (
    Traffic,
    added_up,
    is_operational,
    percentile,
    traffic_by_route,
)
from app.schemas.monitoring.metrics import (
    CacheMetricsSchema,
    HashingSchema,
    HitRateSchema,
    LatencySchema,
    RedisUsageSchema,
    RequestMetricsSchema,
    RouteMetricsSchema,
)

_PERCENTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
SLOWEST = 5
"""Routes that are listed as the slowest."""


def build_request_metrics(
    recent: MetricsSnapshot, seconds: float, *, with_operational: bool = True
) -> RequestMetricsSchema:
    """Requests, errors and latency of the last `seconds`.

    Args:
        recent: what was counted in that time.
        seconds: since the counts began.
        with_operational: also of the routes that `is_operational` names.
    """
    traffic = {
        (method, route): one
        for (method, route), one in traffic_by_route(recent).items()
        if with_operational or not is_operational(route)
    }
    routes = [
        RouteMetricsSchema(method=method, route=route, **_traffic(one, seconds))
        for (method, route), one in traffic.items()
    ]
    pending = recent.total("password_hashes_pending")
    threads = recent.total("password_hashing_threads")
    return RequestMetricsSchema(
        **_traffic(added_up(traffic.values()), seconds),
        window_seconds=round(seconds, 1),
        processes=int(recent.total("worker_processes")),
        in_progress=int(recent.total("http_requests_in_progress")),
        event_loop_lag_ms=round(recent.total("event_loop_lag_seconds") * 1000, 2),
        hashing=HashingSchema(
            threads=int(threads),
            running=int(min(pending, threads)),
            waiting=int(max(0, pending - threads)),
        ),
        slowest=sorted(routes, key=lambda route: -(route.p95_ms or 0))[:SLOWEST],
        routes=sorted(routes, key=lambda route: -route.requests),
    )


def _traffic(traffic: Traffic, seconds: float) -> dict[str, Any]:
    requests, errors = traffic.requests, traffic.errors
    return {
        "requests": requests,
        "rate": round(requests / seconds, 2) if seconds else 0.0,
        "errors": errors,
        "client_errors": traffic.client_errors,
        "error_rate": round(errors / requests, 4) if requests else 0.0,
        "rate_limited": traffic.having(429),
        "timeouts": traffic.having(504),
        **_latency(traffic.buckets),
    }


def _latency(buckets: Mapping[float, float]) -> dict[str, float | None]:
    """Percentiles in milliseconds."""
    seconds = {name: percentile(buckets, part) for name, part in _PERCENTILES.items()}
    return {name: None if s is None else round(s * 1000, 2) for name, s in seconds.items()}


def build_cache_metrics(
    recent: MetricsSnapshot, seconds: float, redis: RedisUsage | None, *, has_redis: bool
) -> CacheMetricsSchema:
    """Hits, misses and latency of the last `seconds`, and the state of `redis` now."""
    names = sorted({labels["cache"] for labels, _ in recent.of("cache_lookups_total")})
    is_open = recent.total("redis_breaker_open", redis="cache") > 0
    return CacheMetricsSchema(
        **_hit_rate(recent),
        window_seconds=round(seconds, 1),
        errors=int(recent.total("redis_call_errors_total", redis="cache")),
        latency=LatencySchema.model_validate(
            _latency(recent.buckets("redis_call_duration_seconds", redis="cache"))
        ),
        breaker=("open" if is_open else "closed") if has_redis else "none",
        caches={
            name: HitRateSchema.model_validate(_hit_rate(recent, cache=name)) for name in names
        },
        redis=None if redis is None else _redis(redis),
    )


def _hit_rate(recent: MetricsSnapshot, **having: str) -> dict[str, Any]:
    hits = int(recent.total("cache_lookups_total", result="hit", **having))
    misses = int(recent.total("cache_lookups_total", result="miss", **having))
    looks = hits + misses
    return {"hits": hits, "misses": misses, "hit_rate": round(hits / looks, 4) if looks else None}


def _redis(usage: RedisUsage) -> RedisUsageSchema:
    return RedisUsageSchema(
        memory_used_bytes=usage.memory,
        memory_max_bytes=usage.max_memory or None,
        evicted_keys=usage.evicted,
        keys=usage.keys,
        keys_complete=usage.is_complete,
    )
