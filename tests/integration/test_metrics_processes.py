"""Metrics of several web processes: added up, to the last request, and of the living only."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from app.embedded.polling import within
from tests.conftest import Servers
from tests.workers import Scrape, Workers, workers

CONNECTIONS = 20


@pytest.fixture(scope="module")
def site(servers: Servers) -> Iterator[Workers]:
    with workers(servers) as site:
        yield site


async def ask(port: int, paths: list[str]) -> Counter[tuple[str, str]]:
    """Ask for `paths` over one connection, and count what came by path and status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen: Counter[tuple[str, str]] = Counter()
    for path in paths:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().splitlines() if "content-length" in line)
        await reader.readexactly(int(length.split(":")[1]))
        seen[path, head.split()[1]] += 1
    writer.close()
    await writer.wait_closed()
    return seen


async def ask_by_many(port: int, paths: list[str]) -> Counter[tuple[str, str]]:
    shares = [paths[start::CONNECTIONS] for start in range(CONNECTIONS)]
    counts = await asyncio.gather(*(ask(port, share) for share in shares))
    return sum(counts, Counter())


def answered(scrape: Scrape, route: str) -> dict[str, float]:
    """Answers by status."""
    return {
        status: scrape.value("http_requests_total", route=route, status=status)
        for status in scrape.labels("http_requests_total", "status")
    }


async def test_ten_thousand_requests_to_two_workers_are_counted_one_by_one(site):
    routes = {"/health/live": "/health/live", "/nowhere": "unmatched", "/": "/"}
    before = site.scrape()
    paths = ["/health/live"] * 8000 + ["/nowhere"] * 1500 + ["/"] * 500

    seen = await ask_by_many(site.port, paths)

    def counted() -> dict[tuple[str, str], float]:
        after = site.scrape()
        return {
            (path, status): answered(after, route)[status] - answered(before, route).get(status, 0)
            for path, route in routes.items()
            for status in ("200", "307", "404")
        }

    expected = {
        (path, status): seen[path, status] for path in routes for status in ("200", "307", "404")
    }
    assert seen.total() == 10_000
    # The last of them is counted just after it was answered.
    assert within(30, lambda: counted() == expected), (counted(), expected)
    durations = site.scrape().value(
        "http_request_duration_seconds_count", route="/health/live"
    ) - before.value("http_request_duration_seconds_count", route="/health/live")
    assert durations == 8000


async def test_a_thousand_ids_and_paths_add_no_series(site):
    await ask_by_many(site.port, ["/api/v1/users/0", "/nowhere/0"])
    site.scrape()
    before = site.scrape().series()
    paths = [f"/api/v1/users/{n}" for n in range(1, 1001)] + [f"/nowhere/{n}" for n in range(1000)]

    seen = await ask_by_many(site.port, paths)

    assert seen.total() == 2000
    assert site.scrape().series() == before


async def test_made_up_methods_add_one_label(site):
    before = site.scrape().labels("http_requests_total", "method")

    await made_up(site.port)

    assert site.scrape().labels("http_requests_total", "method") - before == {"OTHER"}


async def made_up(port: int) -> None:
    for method in ("PROPFIND", "MKCOL", "LOCK", "PURGE"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()


def test_gauges_are_reported_for_each_process_and_added_up(site):
    scrape = site.scrape()

    assert scrape.value("worker_processes") == 2
    assert scrape.values("database_pool_process_size") == [5, 5]
    assert scrape.values("database_pool_size") == [10]


async def test_a_killed_worker_leaves_no_gauge_behind_and_its_counters_stay(site):
    await ask_by_many(site.port, ["/health/live"] * 200)
    before = site.scrape()
    victim = min(before.labels("database_pool_process_size", "process"))

    os.kill(int(victim), signal.SIGKILL)

    assert within(30, lambda: victim not in processes(site))
    assert within(60, lambda: len(processes(site)) == 2)  # the supervisor has started another
    after = site.scrape()
    assert after.values("database_pool_size") == [10]
    assert after.value("worker_processes") == 2
    live = {"route": "/health/live", "status": "200"}
    assert after.value("http_requests_total", **live) >= before.value("http_requests_total", **live)


def processes(site: Workers) -> set[str]:
    scrape = site.scrape()
    named = {
        name: scrape.labels(f"database_pool_process_{name}", "process")
        for name in ("size", "checked_out", "timeouts")
    }
    assert len(set(map(frozenset, named.values()))) == 1
    return named["size"]
