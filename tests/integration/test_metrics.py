"""Figures that superusers and Prometheus see."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.telemetry.metrics import QUERY_DURATION
from app.database import pool_usage
from app.runtime import Runtime
from tests.conftest import PASSWORD, Person, browsing, running
from tests.tcp_proxy import proxied
from tests.workers import Scrape

DATABASE = "/metrics/database"
PROMETHEUS = "/api/v1/metrics/prometheus"


@asynccontextmanager
async def connected(runtime: Runtime, count: int) -> AsyncIterator[None]:
    """Hold `count` connections of the pool."""
    connections = [await runtime.engine.connect() for _ in range(count)]
    try:
        yield
    finally:
        for connection in connections:
            await connection.close()


async def test_the_pool_has_exactly_five_figures(root):
    response = await root.get(DATABASE)

    assert response.status_code == 200
    assert list(response.json()) == [
        "pool_size",
        "checked_in",
        "checked_out",
        "overflow",
        "total_connections",
    ]
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("held", [0, 1, 4, 5, 6, 14])
async def test_no_figure_is_negative_and_the_total_adds_up(root, runtime, held):
    await root.get(DATABASE)
    async with connected(runtime, held):
        figures = (await root.get(DATABASE)).json()

    assert figures["checked_out"] == held
    assert figures["pool_size"] == runtime.settings.database.pool_size == 5
    assert figures["overflow"] == max(0, held - 5)
    assert figures["total_connections"] == figures["checked_in"] + figures["checked_out"]
    assert all(figure >= 0 for figure in figures.values())


async def test_returned_connections_are_counted_at_once(root, runtime):
    await root.get(DATABASE)
    async with connected(runtime, 7):
        during = (await root.get(DATABASE)).json()
    after = (await root.get(DATABASE)).json()

    assert (during["checked_out"], during["overflow"]) == (7, 2)
    assert (after["checked_out"], after["overflow"]) == (0, 0)
    assert after["checked_in"] == 5


async def test_it_answers_while_the_pool_is_exhausted(root, runtime):
    pool = runtime.settings.database
    await root.get(DATABASE)
    async with connected(runtime, pool.pool_size + pool.max_overflow):
        async with asyncio.timeout(pool.pool_timeout / 2):
            response = await root.get(DATABASE)

    assert response.status_code == 200
    assert response.json()["checked_out"] == pool.pool_size + pool.max_overflow
    assert response.json()["overflow"] == pool.max_overflow


async def test_waits_for_a_connection_and_their_timeouts_are_counted(client, runtime):
    pool = runtime.settings.database
    before = pool_usage(runtime.engine).timeouts
    async with connected(runtime, pool.pool_size + pool.max_overflow):
        waiters = [asyncio.create_task(_ask(runtime)) for _ in range(3)]
        await asyncio.sleep(pool.pool_timeout / 2)
        waiting = pool_usage(runtime.engine).waiting
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)

    usage = pool_usage(runtime.engine)
    assert waiting == 3
    assert all(isinstance(outcome, PoolTimeoutError) for outcome in outcomes)
    assert usage.waiting == 0
    assert usage.timeouts == before + 3


async def _ask(runtime: Runtime) -> None:
    async with runtime.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def test_requests_are_counted_by_route_template_and_status(ada, root):
    before = await scraped(root)
    for user in (ada.id, root.id, 999_999):
        await ada.get(f"/users/{user}")
    await ada.get("/nowhere")

    after = await scraped(root)

    def added(**labels: str) -> float:
        return after.value("http_requests_total", **labels) - before.value(
            "http_requests_total", **labels
        )

    template = "/api/v1/users/{user_id}"
    assert added(method="GET", route=template, status="200") == 1
    assert added(method="GET", route=template, status="403") == 2
    assert added(route="unmatched", status="404") == 1
    assert not [path for path in after.labels("http_requests_total", "route") if "999" in path]


async def scraped(root: Person) -> Scrape:
    response = await root.get("/metrics/prometheus")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(response.text)


async def test_the_json_adds_up_and_names_the_slowest_and_the_busiest(ada, root):
    for _ in range(20):
        await ada.get("/users/me")
    await ada.get("/nowhere")

    figures = (await root.get("/metrics/requests")).json()

    routes = {(route["method"], route["route"]): route for route in figures["routes"]}
    assert figures["requests"] == sum(route["requests"] for route in figures["routes"])
    assert routes["GET", "/api/v1/users/me"]["requests"] >= 20
    slow = sorted((route["p95_ms"] for route in figures["routes"]), reverse=True)
    assert [route["p95_ms"] for route in figures["slowest"]] == slow[:5]
    assert all(route in figures["routes"] for route in figures["slowest"])
    assert figures["routes"] == sorted(figures["routes"], key=lambda route: -route["requests"])
    for route in [figures, *figures["routes"]]:
        assert 0 < route["p50_ms"] <= route["p95_ms"] <= route["p99_ms"]
    assert figures["hashing"]["threads"] == figures["processes"] * (os.cpu_count() or 1)


async def test_the_window_begins_with_the_oldest_snapshot(app, client, settings, root):
    async with running(settings) as fresh, browsing(fresh) as there:
        visitor = Person(there, root.id, root.email, tokens=root.tokens)
        await visitor.get("/users/me")
        metrics = fresh.state.runtime.metrics
        async with asyncio.timeout(20):
            while not metrics._snapshots:  # noqa: ASYNC110  # that of the start is on its way
                await asyncio.sleep(0.01)
        metrics._snapshots.clear()
        await metrics.take_snapshot()
        taken_at, state = metrics._snapshots.pop()
        metrics._snapshots.append((taken_at - 10, state))
        for _ in range(3):
            await visitor.get("/users/me")
        figures = (await visitor.get("/metrics/requests")).json()

    (route,) = figures["routes"]
    assert (route["method"], route["route"], route["requests"]) == ("GET", "/api/v1/users/me", 3)
    assert figures["requests"] == 3
    assert 10 <= figures["window_seconds"] < 300


async def test_refusals_by_limit_and_deadline_have_different_errors(app, client, settings, root):
    hurried = settings.replaced(limiter={"login": "1/minute"}, server={"request_timeout": 0.001})
    login = {"email": root.email, "password": "wrong"}
    before = (await root.get("/metrics/requests")).json()
    async with running(hurried) as slow, browsing(slow) as visitor:
        statuses = [
            (await visitor.post("/api/v1/auth/login", json=login)).status_code for _ in range(2)
        ]

    after = (await root.get("/metrics/requests")).json()

    assert statuses == [504, 429] or statuses == [504, 504]
    for status, name in ((429, "rate_limited"), (504, "timeouts")):
        assert after[name] - before[name] == statuses.count(status)
    assert after["errors"] - before["errors"] == statuses.count(504)


async def test_the_cache_is_reported_with_its_redis(ada, root):
    before = (await root.get("/metrics/cache")).json()
    for _ in range(9):
        await ada.get("/users/me")

    after = (await root.get("/metrics/cache")).json()

    def added(result: str) -> int:
        return int(after["caches"]["principal"][result] - before["caches"]["principal"][result])

    assert added("hits") + added("misses") == 10
    assert added("misses") == 1
    assert after["hit_rate"] == round(after["hits"] / (after["hits"] + after["misses"]), 4)
    assert after["breaker"] == "closed"
    assert after["latency"]["p50_ms"] > 0
    assert after["redis"]["keys"].items() >= {"session": 2, "principal": 2}.items()
    assert after["redis"]["keys_complete"]
    assert after["redis"]["memory_used_bytes"] > 0


async def test_without_its_redis_the_cache_is_reported_too(app, client, settings, servers, root):
    async with (
        proxied(servers.redis) as proxy,
        running(settings.replaced(cache={"redis_url": SecretStr(proxy.url)})) as cut,
        browsing(cut) as there,
    ):
        proxy.close()
        visitor = Person(there, root.id, root.email, tokens=root.tokens)
        for _ in range(4):
            await visitor.get("/users/me")
        response = await visitor.get("/metrics/cache")
        scrape = Scrape((await visitor.get("/metrics/prometheus")).text)

    assert response.status_code == 200
    assert response.json()["breaker"] == "open"
    assert response.json()["redis"] is None
    assert response.json()["errors"] >= 1
    assert scrape.values("redis_breaker_open", redis="cache") == [1]
    assert scrape.values("http_health_check_status", service="cache") == [0]
    assert scrape.values("http_health_check_status", service="api") == [0]
    assert isnan(scrape.value("redis_memory_used_bytes"))


async def test_a_cache_that_is_off_has_no_breaker(app, client, settings, root):
    async with running(settings.replaced(cache={"enabled": False})) as off, browsing(off) as there:
        visitor = Person(there, root.id, root.email, tokens=root.tokens)
        figures = (await visitor.get("/metrics/cache")).json()

    assert figures["breaker"] == "none"
    assert figures["redis"] is None


async def test_a_healthy_service_has_a_gauge_of_one_for_each_check(root):
    scrape = await scraped(root)

    assert scrape.labels("http_health_check_status", "service") == {
        "api",
        "database",
        "cache",
        "rate_limiter",
    }
    assert scrape.value("http_health_check_status") == 4
    assert scrape.value("database_server_connections") > 0
    assert scrape.value("database_server_max_connections") >= 100


async def test_the_scrape_token_reads_the_text_and_nothing_else(app, client, settings, root):
    token = "a token that only Prometheus knows of"
    with_token = settings.replaced(telemetry={"scrape_token": SecretStr(token)})
    headers = {"Authorization": f"Bearer {token}"}
    async with running(with_token) as other, browsing(other, headers=headers) as prometheus:
        text = await prometheus.get(PROMETHEUS)
        others = [
            await prometheus.get(f"/api/v1{path}")
            for path in ("/metrics/database", "/metrics/cache", "/metrics/requests", "/users/me")
        ]
        wrong = await prometheus.get(PROMETHEUS, headers={"Authorization": f"Bearer {token}x"})

    assert text.status_code == 200
    assert {response.status_code for response in others} == {401}
    assert wrong.status_code == 401


async def test_without_a_scrape_token_an_empty_one_does_not_do(client):
    response = await client.get(PROMETHEUS, headers={"Authorization": "Bearer "})

    assert response.status_code == 401


async def test_a_slow_statement_is_logged_by_its_shape_and_counted(
    app, client, settings, root, request
):
    before = (await scraped(root)).value("database_slow_queries_total")
    watchful = settings.replaced(telemetry={"slow_query": 1e-9})
    async with running(watchful) as slow, browsing(slow) as there:
        logged = request.getfixturevalue("logged")  # the start of an application sets logs up
        token = root.tokens["access_token"]
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "the-slow-one"}
        response = await there.get("/api/v1/users/999999", headers=headers)
    after = (await scraped(root)).value("database_slow_queries_total")

    slow_ones = [
        line
        for line in logged()
        if line["event"] == "slow_query" and line.get("request_id") == "the-slow-one"
    ]
    assert response.status_code == 404
    assert slow_ones
    assert {line["route"] for line in slow_ones} == {"/api/v1/users/{user_id}"}
    assert any("FROM users" in line["statement"] for line in slow_ones)
    assert all(line["duration_ms"] > 0 for line in slow_ones)
    assert not any("999999" in line["statement"] for line in slow_ones)
    assert after - before >= len(slow_ones)


async def test_a_statement_that_is_cancelled_counts_as_well(client, runtime, logged):
    before = QUERY_DURATION._sum.get()
    async with runtime.engine.connect() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 600"))
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT pg_sleep(5)"))

    slow_ones = [line["statement"] for line in logged() if line["event"] == "slow_query"]
    assert "SELECT pg_sleep(5)" in slow_ones
    assert QUERY_DURATION._sum.get() - before > 0.5


async def test_superusers_get_the_server_timing(ada, root):
    plain, told = await ada.get("/users/me"), await root.get(f"/users/{ada.id}")

    assert "server-timing" not in plain.headers
    parts = dict(part.split(";dur=") for part in told.headers["server-timing"].split(", "))
    assert {"db", "cache", "total"} <= set(parts)
    assert 0 < float(parts["db"]) < float(parts["total"])
    assert 0 < float(parts["cache"]) < float(parts["total"])


async def test_in_development_every_caller_gets_the_server_timing(app, client, settings, ada):
    development = settings.replaced(app={"environment": "development"})
    async with running(development) as open_minded, browsing(open_minded) as there:
        response = await there.get("/health/live")

    assert response.headers["server-timing"].startswith("db;dur=0.00, cache;dur=0.00, total;dur=")


@pytest.mark.usefixtures("costly")
async def test_hashing_and_waiting_are_reported(root, runtime):
    threads = runtime.passwords.workers
    hashes = [asyncio.create_task(runtime.passwords.hash(PASSWORD)) for _ in range(threads + 4)]
    await asyncio.sleep(0)

    pending = runtime.passwords.pending
    await asyncio.gather(*hashes)

    assert pending == threads + 4
    assert runtime.passwords.pending == 0
