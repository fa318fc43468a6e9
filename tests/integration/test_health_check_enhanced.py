"""Health: each dependency by name, soon, and telling strangers nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from app.core.config import Settings
from app.embedded.valkey import EmbeddedValkey
from tests.conftest import Servers, browsing, running
from tests.polling import within_async
from tests.tcp_proxy import TcpProxy, proxied, target


async def test_a_healthy_service_says_so_in_detail(client):
    response = await client.get("/health")

    assert response.status_code == 200
    report = response.json()
    latencies = [check.pop("latency_ms") for check in report["checks"].values()]
    assert report == {
        "status": "healthy",
        "app_name": "Backend API",
        "version": "1.0.0",
        "checks": {
            "database": {"status": "healthy", "provider": "postgresql"},
            "cache": {"status": "healthy", "backend": "redis"},
            "rate_limiter": {"status": "healthy", "backend": "redis"},
        },
    }
    assert all(0 < latency < 1000 for latency in latencies)
    assert response.headers["cache-control"] == "no-store"


async def test_live_and_ready_are_well_too(client):
    live, ready = await client.get("/health/live"), await client.get("/health/ready")

    assert live.status_code == ready.status_code == 200
    assert live.json() == {"status": "alive"}
    assert ready.json()["status"] == "healthy"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_a_probe_may_use_head(client, path):
    assert (await client.head(path)).status_code == 200


@pytest.fixture
async def behind_proxies(
    app, client, settings: Settings, servers: Servers, impatient: None
) -> AsyncIterator[tuple[httpx.AsyncClient, TcpProxy, TcpProxy]]:
    """The application behind a proxy to PostgreSQL and another to Redis."""
    async with proxied(servers.postgres) as postgres, proxied(servers.redis) as redis:
        redis_url = SecretStr(redis.url)
        through = settings.replaced(
            database={"url": SecretStr(postgres.url)},
            cache={"redis_url": redis_url},
            limiter={"redis_url": redis_url},
        )
        async with running(through) as app_behind, browsing(app_behind) as probe:
            yield probe, postgres, redis


async def test_without_redis_it_is_unhealthy_and_still_serves(behind_proxies):
    probe, _, redis = behind_proxies
    redis.close()

    health, ready = await probe.get("/health"), await probe.get("/health/ready")

    assert health.status_code == 503
    assert health.headers["retry-after"]
    assert health.json()["status"] == "unhealthy"
    assert health.json()["checks"]["database"]["status"] == "healthy"
    for name in ("cache", "rate_limiter"):
        assert (
            health.json()["checks"][name].items()
            >= {
                "status": "unhealthy",
                "error": "connection refused",
            }.items()
        )
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"


async def test_without_the_database_it_is_alive_and_not_ready(behind_proxies):
    probe, postgres, _ = behind_proxies
    postgres.close()

    health, live, ready = [
        await probe.get(path) for path in ("/health", "/health/live", "/health/ready")
    ]

    assert (health.status_code, live.status_code, ready.status_code) == (503, 200, 503)
    assert health.json()["checks"]["database"]["error"] == "connection refused"
    assert health.json()["checks"]["cache"]["status"] == "healthy"
    assert ready.json()["status"] == "unhealthy"


@pytest.mark.parametrize("name", ["database", "cache"])
async def test_a_server_that_never_responds_is_a_timeout_within_a_second(behind_proxies, name):
    probe, postgres, redis = behind_proxies
    await probe.get("/health")
    proxy = postgres if name == "database" else redis
    proxy.freeze()

    began = time.monotonic()
    health = await probe.get("/health")

    assert time.monotonic() - began < 3
    assert health.status_code == 503
    assert health.json()["checks"][name]["error"] == "timeout"


async def test_it_recovers_by_itself(behind_proxies):
    probe, postgres, redis = behind_proxies
    postgres.freeze()
    redis.freeze()
    assert (await probe.get("/health")).status_code == 503

    postgres.thaw()
    redis.thaw()

    async def is_healthy() -> bool:
        return bool((await probe.get("/health")).status_code == 200)

    assert await within_async(10, is_healthy)


async def test_a_failed_check_reveals_no_host_user_or_address(behind_proxies, logged):
    probe, postgres, redis = behind_proxies
    postgres.close()
    redis.close()

    response = await probe.get("/health")

    for secret in ("127.0.0.1", "postgres:", "port", "Traceback", "Error"):
        assert secret not in response.text.replace('"provider":"postgresql"', "")
    failures = [line for line in logged() if line["event"] == "check_failed"]
    assert {line["check"] for line in failures} == {"database", "cache", "rate_limiter"}
    assert all("exception" in line for line in failures)


async def test_a_wrong_password_is_reported_as_such_and_not_shown(app, client, settings, servers):
    host, port = target(servers.direct)  # a pooler refuses with a SQLSTATE of its own
    wrong = SecretStr(f"postgresql://postgres:wrong-secret@{host}:{port}/app")
    async with closed_app(settings.replaced(database={"url": wrong})) as probe:
        response = await probe.get("/health")

    assert response.json()["checks"]["database"]["error"] == "authentication failed"
    assert "wrong-secret" not in response.text


@asynccontextmanager
async def closed_app(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """An application whose start needs no database: production's does not."""
    production = settings.replaced(app={"environment": "production"})
    async with running(production) as app, browsing(app) as probe:
        yield probe


async def test_a_disabled_service_is_not_listed(app, client, settings):
    off = settings.replaced(cache={"enabled": False}, limiter={"enabled": False})
    async with closed_app(off) as probe:
        response = await probe.get("/health")

    assert response.status_code == 200
    assert set(response.json()["checks"]) == {"database"}


async def test_without_a_redis_for_this_platform_it_lives_in_the_process_and_says_so(
    app, client, settings, monkeypatch
):
    monkeypatch.setattr(EmbeddedValkey, "is_available", staticmethod(lambda: False))
    alone = settings.replaced(cache={"redis_url": None}, limiter={"redis_url": None})
    async with running(alone) as lonely, browsing(lonely) as probe:
        report = (await probe.get("/health")).json()
        login = {"email": "nobody@example.com", "password": "wrong"}
        answers = [await probe.post("/api/v1/auth/login", json=login) for _ in range(6)]

    assert report["status"] == "healthy"
    assert {report["checks"][name]["backend"] for name in ("cache", "rate_limiter")} == {"memory"}
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_a_full_pool_does_not_hang_it(client, runtime):
    pool = runtime.settings.database
    connections = [
        await runtime.engine.connect() for _ in range(pool.pool_size + pool.max_overflow)
    ]
    try:
        began = time.monotonic()
        response = await client.get("/health")
        busy = await client.get("/api/v1/users/me", headers={"Authorization": "Bearer x"})
    finally:
        for connection in connections:
            await connection.close()

    assert response.status_code == 200
    assert time.monotonic() - began < pool.pool_timeout
    assert busy.status_code == 401


async def test_with_a_full_pool_a_request_gets_retry_after(ada, runtime):
    pool = runtime.settings.database
    connections = [
        await runtime.engine.connect() for _ in range(pool.pool_size + pool.max_overflow)
    ]
    try:
        began = time.monotonic()
        response = await ada.get("/users/me")
    finally:
        for connection in connections:
            await connection.close()

    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert time.monotonic() - began < 2 * pool.pool_timeout
    assert (await ada.get("/users/me")).status_code == 200


async def test_many_probes_at_once_ask_each_dependency_once(app, client):
    probes = [client.get("/health") for _ in range(50)]

    responses = await asyncio.gather(*probes)

    assert {response.status_code for response in responses} == {200}
    latencies = {response.json()["checks"]["database"]["latency_ms"] for response in responses}
    assert len(latencies) == 1


async def test_probes_have_no_use_for_the_database_to_be_alive(behind_proxies):
    probe, postgres, redis = behind_proxies
    postgres.freeze()
    redis.freeze()

    began = time.monotonic()
    response = await probe.get("/health/live")

    assert response.status_code == 200
    assert time.monotonic() - began < 0.9  # as long as a check waits
