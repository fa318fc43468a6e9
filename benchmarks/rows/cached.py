"""P2, P3 and P12: remembered answers against a bare route, and a key against a token, in turn."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

from benchmarks import load
from benchmarks.instance import Instance, application, floor, servers
from benchmarks.report import Figure

TARGET = 0.35
PEERS = "well-known peers: 0.03 to 0.08"


def measure_statistics(runs: int) -> Iterator[Figure]:
    """P2: `GET /dashboard/stats`, remembered."""
    return _against_the_floor("P2", "/api/v1/dashboard/stats", "/stats", runs, "")


def measure_who_am_i(runs: int) -> Iterator[Figure]:
    """P3: `GET /users/me`, its principal remembered."""
    return _against_the_floor("P3", "/api/v1/users/me", "/me", runs, PEERS)


def measure_key(runs: int) -> Iterator[Figure]:
    """P12: `GET /users/me` by an API key, against the same by a token."""
    path = "/api/v1/users/me"
    keyed: list[float] = []
    parts: list[float] = []
    with servers() as own, application(own, 10_000) as service:
        by_key = [load.get(path, _new_key(service))]
        by_token = [load.get(path, service.token)]
        for request in (by_key, by_token):
            load.run(service.port, request, seconds=1)
        for _ in range(runs):
            keyed.append(load.run(service.port, by_key).expect(200).rate)
            parts.append(keyed[-1] / load.run(service.port, by_token).expect(200).rate)
    yield Figure("P12", f"`GET {path}` by an API key, 10 connections", keyed, "requests/s")
    yield Figure("P12", "part of the throughput by a token", parts, least=0.95)


def _new_key(service: Instance) -> str:
    """An API key of the superuser."""
    expires_at = datetime.now(UTC) + timedelta(days=1)
    sent = {"name": "Benchmark", "permissions": [], "expires_at": expires_at.isoformat()}
    answer = httpx.post(
        f"http://127.0.0.1:{service.port}/api/v1/api-keys",
        json=sent,
        headers={"Authorization": f"Bearer {service.token}"},
    )
    answer.raise_for_status()
    key: str = answer.json()["key"]
    return key


def _against_the_floor(
    row: str, path: str, bare_path: str, runs: int, note: str
) -> Iterator[Figure]:
    rates: list[float] = []
    bare_rates: list[float] = []
    cpu: list[float] = []
    with servers() as own, application(own, 10_000) as service, floor() as bare:
        request, bare_request = [load.get(path, service.token)], [load.get(bare_path)]
        load.run(service.port, request, seconds=1)
        for _ in range(runs):
            before = sum(service.process.cpu_times()[:2])
            answered = load.run(service.port, request).expect(200)
            spent = sum(service.process.cpu_times()[:2]) - before
            rates.append(answered.rate)
            cpu.append(spent / len(answered.latencies) * 1e6)
            bare_rates.append(load.run(bare.port, bare_request).expect(200).rate)
    parts = [rate / bare_rate for rate, bare_rate in zip(rates, bare_rates, strict=True)]
    yield Figure(row, f"`GET {path}`, 10 connections", rates, "requests/s")
    yield Figure(row, "bare FastAPI route with the same dict", bare_rates, "requests/s")
    yield Figure(row, "part of the bare route's throughput", parts, least=TARGET, note=note)
    yield Figure(row, "processor time for a request", cpu, "µs")
