"""Health checks of the database and of Redis, run concurrently."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.core.redis import CircuitBreaker, check_redis
from app.core.redis.breaker import reason_of
from app.core.telemetry.metrics import HEALTH
from app.core.timeouts import with_timeout
from app.database import ReadOnlyServerError, has_files, ping_primary
from app.database.schema_state import MigrationsError, schema_of
from app.schemas.monitoring.health import CheckSchema, HealthSchema
from app.server.drain import Drain

log = structlog.get_logger("app.health")

CHECK_TIMEOUT = 0.9
"""Seconds for each check: the contract allows one second, response included."""
NOT_MIGRATED = "migrate first"
DELETED = "its files were deleted: stop the service, and start it again"
READ_ONLY = "read-only"
_CODE = re.compile(r"[A-Z]{3,20}")


class _NotMigratedError(Exception):
    """The schema is missing, or of an earlier release."""


class _BreakerOpenError(Exception):
    """Redis works, but this process does not use it: a missed write has to come first."""


class _DeletedError(Exception):
    """The data directory of the embedded server was deleted."""


@dataclass(frozen=True, slots=True)
class RedisCheck:
    """A Redis to check.

    Attributes:
        client: has connections of its own.
        breaker: of the process's other connections to the same Redis.
    """

    client: Redis
    breaker: CircuitBreaker

    async def run(self) -> None:
        """Raises: Exception: Redis lacks what the service needs, or its breaker is open."""
        try:
            await check_redis(self.client, self.breaker.prefix)
        except ResponseError as error:
            self.breaker.open(reason_of(error))  # a process that only reads would not notice
            raise
        if self.breaker.is_open:
            raise _BreakerOpenError


class HealthService:
    """Runs the checks, on connections of their own.

    Concurrent probes share the result of a running check: each dependency is asked once at a
    time.
    """

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        redis: Mapping[str, RedisCheck],
        drain: Drain,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._redis = redis
        self._drain = drain
        self._is_migrated = False
        self._running: dict[str, asyncio.Task[CheckSchema]] = {}
        self._failing_since: dict[str, datetime] = {}

    async def report(self) -> HealthSchema:
        """All checks; healthy only where every check is."""
        checks = await self._checks()
        is_healthy = all(check.status == "healthy" for check in checks.values())
        HEALTH.labels("api").set(is_healthy)
        return self._summary("healthy" if is_healthy else "unhealthy", checks)

    async def readiness(self) -> HealthSchema:
        """All checks; unhealthy without the database, degraded without anything else."""
        checks = await self._checks()
        failed = {name for name, check in checks.items() if check.status != "healthy"}
        if "database" in failed:
            return self._summary("unhealthy", checks)
        return self._summary("degraded" if failed else "healthy", checks)

    async def readiness_for_traffic(self) -> HealthSchema:
        """Readiness for load balancers: `stopping` once the process drains."""
        readiness = await self.readiness()
        is_stopping = self._drain.has_begun
        return readiness.model_copy(update={"status": "stopping"}) if is_stopping else readiness

    async def is_database_away(self) -> bool:
        """Whether the database does not answer the check. One that is only slow for requests
        answers it, and so does one that is read-only."""
        check = await self._shared("database")
        return check.status != "healthy" and check.error != READ_ONLY

    def failing_since(self, check: str) -> datetime | None:
        """The time of the first of the last failures in a row, in this process; None while the
        check succeeds."""
        return self._failing_since.get(check)

    def _summary(self, status: str, checks: dict[str, CheckSchema]) -> HealthSchema:
        app = self._settings.app
        return HealthSchema.model_validate(
            {
                "status": status,
                "app_name": app.app_name,
                "version": app.app_version,
                "checks": checks,
            }
        )

    async def _checks(self) -> dict[str, CheckSchema]:
        enabled = {"database": True}
        enabled["cache"] = self._settings.cache.enabled
        enabled["rate_limiter"] = self._settings.limiter.enabled
        names = [name for name, is_enabled in enabled.items() if is_enabled]
        return dict(zip(names, await asyncio.gather(*map(self._shared, names)), strict=True))

    async def _shared(self, name: str) -> CheckSchema:
        task = self._running.get(name)
        if task is None:
            check = self._database if name == "database" else self._redis_check(name)
            task = self._running[name] = asyncio.create_task(_timed(name, check))
            task.add_done_callback(lambda _: self._running.pop(name))
        # Shielded: a probe that disconnects must not cancel the check for the others.
        result = await asyncio.shield(task)
        if result.status == "healthy":
            self._failing_since.pop(name, None)
        else:
            self._failing_since.setdefault(name, datetime.now(UTC))
        if name == "database":
            return result.model_copy(update={"provider": self._settings.database.kind})
        backend = "redis" if name in self._redis else "memory"
        return result.model_copy(update={"backend": backend})

    async def _database(self) -> None:
        await ping_primary(self._engine)
        if self._settings.database.kind == "embedded" and not await has_files(self._engine):
            raise _DeletedError
        if not self._is_migrated:  # checked until it is, and not again
            with suppress(MigrationsError):  # this release's own migrations are inconsistent
                self._is_migrated = (await schema_of(self._engine)).serves
            if not self._is_migrated:
                raise _NotMigratedError

    def _redis_check(self, name: str) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            if name in self._redis:
                await self._redis[name].run()

        return check


async def _timed(name: str, check: Callable[[], Awaitable[None]]) -> CheckSchema:
    began = perf_counter()
    error = None
    try:
        await with_timeout(CHECK_TIMEOUT, check)
    except Exception as failure:
        # The text of an exception names hosts and users: only the log gets it.
        error = _reason(failure)
        log.warning("check_failed", check=name, reason=error, exc_info=failure)
    latency = round((perf_counter() - began) * 1000, 2)
    HEALTH.labels(name).set(error is None)
    status = "healthy" if error is None else "unhealthy"
    return CheckSchema.model_validate({"status": status, "latency_ms": latency, "error": error})


def _reason(failure: BaseException) -> str:
    """A short reason that names neither hosts nor users."""
    chain: list[BaseException] = []
    link: BaseException | None = failure
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for kind, reason in (
        (TimeoutError, "timeout"),
        (ConnectionRefusedError, "connection refused"),
        (_NotMigratedError, NOT_MIGRATED),
        (_BreakerOpenError, "left alone until it has what it missed"),
        (_DeletedError, DELETED),
        (ReadOnlyServerError, READ_ONLY),
    ):
        if any(isinstance(link, kind) for link in chain):
            return reason
    if refusal := _refusal(failure):
        return refusal
    if any(
        "Authentication" in type(link).__name__ or "Password" in type(link).__name__
        for link in chain
    ):
        return "authentication failed"
    return "unavailable"


def _refusal(failure: BaseException) -> str | None:
    """Redis's error code, such as READONLY or OOM; None for other errors."""
    if not isinstance(failure, ResponseError):
        return None
    # redis-py removes the codes it knows from the message, and leaves others in it.
    code = failure.status_code or str(failure).partition(" ")[0]
    return code if _CODE.fullmatch(code) else None
