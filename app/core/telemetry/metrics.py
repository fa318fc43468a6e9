"""Definitions of all metrics.

Prometheus, the JSON endpoints and the overview page all read these. With several web processes,
each writes to its own files, and the process that is asked adds them up. `live` gauges cover only
the processes that are alive.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from app.core.telemetry.metrics_files import reserve_files

reserve_files()
disable_created_metrics()  # an unused second series for each counter

LATENCY_BUCKETS = (
    0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds in seconds. Up to 5 s each is at most 1.7 times the previous one, which bounds the
error of a percentile."""
_REDIS_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2)

REQUESTS = Counter(
    "http_requests", "Requests answered, by route template", ["method", "route", "status"]
)
REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Seconds from a request's arrival to the end of its answer",
    ["method", "route"],
    buckets=LATENCY_BUCKETS,
)
REQUEST_TIMEOUTS = Counter(
    # Without labels, so that it starts at 0: Prometheus sees no increase in a series' first value.
    "http_request_timeouts",
    "Requests answered 504, or cut off while streaming",
)
REQUESTS_REFUSED = Counter(
    "http_requests_refused",
    "Requests that the server refused before the application: malformed, too large or too slow",
    ["reason"],
)
LOG_LINES_DROPPED = Counter(
    "log_lines_dropped",
    "Lines that were not written: the output was blocked, or writing to it failed",
    ["reason"],
)
REQUESTS_IN_PROGRESS = Gauge(
    "http_requests_in_progress", "Requests being answered", multiprocess_mode="livesum"
)
HEALTH = Gauge(
    "http_health_check_status",
    "1 where the check passed when it ran last; api is all of them together",
    ["service"],
    multiprocess_mode="livemostrecent",
)
LOOP_LAG = Gauge(
    "event_loop_lag_seconds",
    "The longest that an event loop was late in the last 15 s",
    multiprocess_mode="livemax",
)
HASHES_PENDING = Gauge(
    "password_hashes_pending",
    "Passwords being hashed or waiting for it",
    multiprocess_mode="livesum",
)
HASHING_THREADS = Gauge(
    "password_hashing_threads", "Passwords that can be hashed at once", multiprocess_mode="livesum"
)
BREACH_CHECKS = Counter(
    "password_breach_checks",
    "New passwords looked up in the list of breached ones: passed, breached, failed, skipped",
    ["result"],
)
PROCESSES = Gauge("worker_processes", "Processes that serve", multiprocess_mode="livesum")

_POOL = {
    "size": "Largest number of idle connections",
    "checked_in": "Connections open and idle",
    "checked_out": "Connections in use",
    "overflow": "Connections beyond the pool's size",
    "total_connections": "Connections open",
    "waiting": "Callers that wait for a connection",
}
POOL = {
    name: Gauge(f"database_pool_{name}", f"{what}, all processes", multiprocess_mode="livesum")
    for name, what in _POOL.items()
}
POOL_BY_PROCESS = {
    # Our own label: the library's `pid` exists only with several processes.
    name: Gauge(f"database_pool_process_{name}", what, ["process"], multiprocess_mode="livesum")
    for name, what in (_POOL | {"timeouts": "Callers so far that waited in vain"}).items()
}
POOL_TIMEOUTS = Counter("database_pool_timeouts", "Callers that waited in vain, all processes")
QUERY_DURATION = Histogram(
    "database_query_duration_seconds",
    "Seconds that statements took, failed ones included",
    buckets=LATENCY_BUCKETS,
)
SLOW_QUERIES = Counter(
    "database_slow_queries", "Statements that took longer than TELEMETRY_SLOW_QUERY", ["route"]
)
SERVER_CONNECTIONS = Gauge(
    "database_server_connections",
    "Connections of all clients to the database server",
    multiprocess_mode="livemostrecent",
)
SERVER_MAX_CONNECTIONS = Gauge(
    "database_server_max_connections",
    "Connections that the database server admits",
    multiprocess_mode="livemostrecent",
)

REPLICA_IN_USE = Gauge(
    "database_replica_in_use",
    "1 where every process reads the replica; 0 where one leaves it out",
    ["replica"],
    multiprocess_mode="livemin",
)
REPLICA_LAG = Gauge(
    "database_replica_lag_seconds",
    "Seconds that the replica is behind the primary; not a number while unknown",
    ["replica"],
    multiprocess_mode="livemax",
)
REPLICA_READS = Counter("database_replica_reads", "Reads that the replica answered", ["replica"])
REPLICA_FALLBACKS = Counter(
    "database_replica_fallbacks",
    "Reads that the replica failed or answered too late, and the primary answered",
    ["replica"],
)

CACHE_LOOKUPS = Counter("cache_lookups", "Looks into a cache", ["cache", "result"])
REDIS_DURATION = Histogram(
    "redis_call_duration_seconds",
    "Seconds that Redis took to answer",
    ["redis"],
    buckets=_REDIS_BUCKETS,
)
REDIS_ERRORS = Counter("redis_call_errors", "Calls that Redis did not answer", ["redis"])
BREAKER_OPEN = Gauge(
    "redis_breaker_open",
    "Processes that leave Redis alone, since it does not answer",
    ["redis"],
    multiprocess_mode="livesum",
)
REDIS_MEMORY = Gauge(
    "redis_memory_used_bytes",
    "Memory that the cache's Redis uses",
    multiprocess_mode="livemostrecent",
)
REDIS_MEMORY_MAX = Gauge(
    "redis_memory_max_bytes",
    "Memory that the cache's Redis may use; 0 is no limit",
    multiprocess_mode="livemostrecent",
)
REDIS_EVICTED = Gauge(
    "redis_evicted_keys",
    "Keys that the cache's Redis dropped for want of memory, since its start",
    multiprocess_mode="livemostrecent",
)
CACHE_KEYS = Gauge(
    "cache_keys", "Keys in the cache's Redis", ["namespace"], multiprocess_mode="livemostrecent"
)

# Of all workers and instances, read from the database: each instance reports the same.
JOBS = Gauge(
    "jobs",
    "Background jobs by state: waiting, delayed (not due yet), running, failed",
    ["kind", "state"],
    multiprocess_mode="livemostrecent",
)
JOBS_OLDEST = Gauge(
    "jobs_oldest_seconds",
    "Seconds that the oldest waiting job has been due",
    ["kind"],
    multiprocess_mode="livemostrecent",
)
JOBS_ENDED = Gauge(
    "jobs_ended",
    "Jobs that ended so far, by outcome: done, failed, cancelled",
    ["kind", "outcome"],
    multiprocess_mode="livemostrecent",
)
JOB_ATTEMPTS = Gauge(
    "job_attempts", "Attempts begun so far", ["kind"], multiprocess_mode="livemostrecent"
)
JOB_DURATION = Gauge(
    "job_duration_seconds",
    "Percentiles of the duration of attempts in the last five minutes",
    ["kind", "percentile"],
    multiprocess_mode="livemostrecent",
)
