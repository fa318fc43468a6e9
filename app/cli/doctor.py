"""`backend doctor`: checks of the configuration and its dependencies, with advice."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from app.api.routing import Route
from app.api.v1.router import PREFIX, ROUTERS
from app.cli.running import console
from app.core.config import Settings, SettingsError, get_settings
from app.core.exceptions import AppException
from app.core.logging import configure_logging
from app.core.redis.breaker import NO_CLUSTER_CLIENT
from app.core.redis.keys import OF_CLUSTER
from app.database import ping
from app.database.errors import connection_failure
from app.database.replicas.opening import NO_CACHE
from app.database.replicas.replica import NO_PRIMARY, NO_STANDBY, OTHER_CLUSTER
from app.database.schema_state import MigrationsError, encoding_fault, schema_of
from app.embedded.server import EmbeddedServerError
from app.repositories.background.job_statistics import job_statistics
from app.runtime import Runtime, open_runtime
from app.services.mail.errors import MailDeferredError
from app.services.mail.mailer import Mailer
from app.services.monitoring.health import NOT_MIGRATED, READ_ONLY
from app.services.user.counts import UserCountService

_TAKES_NO_WRITES = (
    "the server is a standby, or default_transaction_read_only is on: name the primary, or all "
    "servers with target_session_attrs=read-write"
)

_UNHEALTHY = {
    "database": "is DATABASE_URL (or DATABASE_HOST, …) correct, and the server running?",
    "cache": "is CACHE_REDIS_URL correct, and the server running? Requests are slow until then",
    "rate_limiter": "is LIMITER_REDIS_URL correct, and the server running? Until then each "
    "process counts its own requests",
}
_REPLICA_AWAY = (
    "the primary is read meanwhile. Is the URL in DATABASE_REPLICA_URLS correct, and the server "
    "running? If it lags: does it stream (pg_stat_replication), and what runs on it?"
)
_REPLICA_ADVICE = {
    NO_STANDBY: "take it out of DATABASE_REPLICA_URLS, or make it a standby of the primary again",
    OTHER_CLUSTER: "name a streaming standby of DATABASE_URL's server",
    NO_PRIMARY: "see the database above",
}
PROBES = 3
"""Probes of the replicas: a replica is fit once it has what the primary had at the first."""
JOBS_LATE = 300.0
"""Seconds that a job may be due before the workers are in doubt, as for the alert JobsWaiting."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check. `advice` is empty where the check succeeded."""

    subject: str
    state: str
    advice: str = ""


def doctor(
    *,
    routes: Annotated[
        bool, typer.Option("--routes", help="List the routes, and who may use each, instead.")
    ] = False,
) -> None:
    """Check configuration, database, migrations, Redis and mail, and print advice."""
    if routes:
        console.print(_routes())
        return
    sys.exit(0 if asyncio.run(_diagnose()) else 1)


def _routes() -> Table:
    """A table of the API's routes: method, path, and the permission that it requires."""
    table = Table("method", Column("path", overflow="fold"), "who")
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, Route):
                for method in sorted(route.methods or ()):
                    table.add_row(method, f"{PREFIX}{route.path_format}", route.access)
    return table


async def _diagnose() -> bool:
    """Print a table of findings; returns whether all checks succeeded."""
    table = Table("check", "result", "advice")
    is_well = True
    async for finding in findings():
        is_well = is_well and not finding.advice
        mark = "[red]✗[/]" if finding.advice else "[green]✓[/]"
        table.add_row(f"{mark} {finding.subject}", finding.state, finding.advice)
    console.print(table)
    return is_well


async def findings() -> AsyncIterator[Finding]:
    """Run the checks in order, without those that depend on a failed one."""
    try:
        settings = get_settings()
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("configuration", problem, "correct it in the environment or in .env")
        return
    # Warnings of the checks would appear between the lines of the table.
    configure_logging(settings.replaced(log={"level": "ERROR"}))
    yield Finding("configuration", settings.app.environment)
    for finding in _warnings(settings):
        yield finding
    try:
        async with open_runtime(settings) as runtime:
            async for finding in _servers(runtime):
                yield finding
            yield await _mail(runtime.mailer)
    except (EmbeddedServerError, LookupError, SettingsError) as error:
        yield Finding("servers", "do not start", str(error))


def _warnings(settings: Settings) -> Iterator[Finding]:
    if settings.is_production and "*" in settings.server.trusted_hosts:
        yield Finding("hosts", "any Host header is accepted", "set SERVER_TRUSTED_HOSTS")
    for warning in settings.warnings():
        name, _, rest = warning.partition(": ")
        state, _, advice = rest.partition(": ")
        yield Finding("configuration", f"{name}: {state}", advice)


async def _servers(runtime: Runtime) -> AsyncIterator[Finding]:
    checks = (await runtime.health.report()).checks
    is_behind = checks["database"].error == NOT_MIGRATED
    for name, check in checks.items():
        kind = check.provider or check.backend or ""
        if check.error is None or (name == "database" and is_behind):
            yield Finding(name, f"{kind}, {check.latency_ms} ms")
        else:
            advice = await _advice(runtime, name, check.error)
            yield Finding(name, f"{kind}, {check.error}", advice)
    if checks["database"].error is None or is_behind:
        async with runtime.engine.connect() as connection:
            fault = await connection.run_sync(encoding_fault)
        if fault is not None:
            state, _, fault_advice = fault.partition(": ")
            yield Finding("database", state, fault_advice)
        yield await _migrations(runtime)
        if not is_behind:
            yield await _jobs(runtime)
            yield await _counters(runtime)
    async for finding in _replicas(runtime):
        yield finding


async def _advice(runtime: Runtime, check: str, error: str) -> str:
    if error == READ_ONLY:
        return _TAKES_NO_WRITES
    if check != "database" and error in OF_CLUSTER:
        return NO_CLUSTER_CLIENT
    reason = await _reason(runtime) if check == "database" else ""
    return f"{_UNHEALTHY[check]} {reason}".strip()


async def _replicas(runtime: Runtime) -> AsyncIterator[Finding]:
    if runtime.replicas is None:
        if runtime.settings.database.replica_urls:
            yield Finding("replicas", "not read", f"{NO_CACHE}: set CACHE_REDIS_URL")
        return
    for _ in range(PROBES):
        await runtime.replicas.probe()
    for replica in (replica.status for replica in runtime.replicas.all):
        state = replica.problem or f"lags {replica.lag or 0:.1f} s"
        advice = _REPLICA_ADVICE.get(replica.problem or "", _REPLICA_AWAY)
        yield Finding(f"replica {replica.name}", state, advice if replica.problem else "")


async def _mail(mailer: Mailer) -> Finding:
    """Connects and logs in, and sends nothing."""
    if mailer.catches:
        return Finding("mail", "caught, and shown at /api/v1/dashboard/mail")
    if not mailer.is_available:  # may be intended
        return Finding("mail", "no mail is sent: set MAIL_URL and MAIL_FROM to send mail")
    try:
        return Finding("mail", await mailer.check())
    except MailDeferredError as error:
        return Finding("mail", str(error), error.advice or "see docs/MAIL.md")


async def _reason(runtime: Runtime) -> str:
    """The reason why the database cannot be reached, in more detail than /health shows."""
    try:
        await ping(runtime.engine)
    except (AppException, OSError, SQLAlchemyError) as error:
        return connection_failure(error) or ""
    return ""


async def _jobs(runtime: Runtime) -> Finding:
    statistics = await job_statistics(runtime.engine)
    waiting, failed = statistics.count_in("waiting"), statistics.count_in("failed")
    oldest = max(statistics.ages.values(), default=0)
    advice = "is a worker running? Start `backend worker`, or set JOBS_IN_PROCESS=true"
    state = f"{waiting} waiting, {failed} failed"
    return Finding("background jobs", state, advice if oldest > JOBS_LATE else "")


async def _counters(runtime: Runtime) -> Finding:
    async with runtime.session_maker() as db:
        error = await UserCountService(db).error()
    if not error:
        return Finding("counters of users", "equal a full count")
    return Finding(
        "counters of users", f"differ by {error} from a full count", "run: backend recount"
    )


async def _migrations(runtime: Runtime) -> Finding:
    try:
        schema = await schema_of(runtime.engine)
    except MigrationsError as error:
        return Finding("migrations", "inconsistent", str(error))
    advice = {
        "behind": "run: backend migrate",
        "unknown": "does DATABASE_URL name the right database, and is this the right release?",
    }
    return Finding("migrations", str(schema), advice.get(schema.state, ""))
