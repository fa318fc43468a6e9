"""P11: three scenarios by locust and by wrk, beside the rates that were hoped for: with one worker,
and with one for each core."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import load, wrk
from benchmarks.instance import Instance, application, servers
from benchmarks.report import Figure
from benchmarks.wrk import Request

SCENARIOS = {"Statistics": (100, 1000), "Lists": (50, 500), "Mixed": (100, 300)}
"""How many clients, and how many requests a second were hoped for."""
SECONDS = 10


def measure(runs: int) -> Iterator[Figure]:
    with servers() as own:
        for workers in sorted({1, os.cpu_count() or 1}):
            with application(own, 10_000, WEB_CONCURRENCY=str(workers)) as service:
                yield from _scenarios(service, f"{workers} worker{'s' * (workers > 1)}", runs)


def _scenarios(service: Instance, workers: str, runs: int) -> Iterator[Figure]:
    for scenario, (clients, hoped_for) in SCENARIOS.items():
        name = f"{scenario.lower()}, {clients} clients, {workers}"
        warm_up = [load.get("/api/v1/users?size=50", service.token)]
        load.run(service.port, warm_up, seconds=1)
        found = [_run(scenario, clients, service) for _ in range(runs)]
        note = f"{hoped_for} requests/s hoped for"
        yield Figure("P11", f"{name}, locust", [rate for rate, _ in found], "requests/s", note=note)
        yield Figure("P11", f"{name}, locust: median latency", [ms for _, ms in found], "ms")
        if wrk.is_installed():
            rates = [
                wrk.rate(service.port, service.token, _requests(scenario), clients, SECONDS)
                for _ in range(runs)
            ]
            yield Figure("P11", f"{name}, wrk", rates, "requests/s", note=note)


def _requests(scenario: str) -> list[Request]:
    """What the scenario of the locustfile asks, in turn instead of at random."""
    statistics = Request("/api/v1/dashboard/stats")
    lists = [
        Request(f"/api/v1/users?is_active={active}&sort_by={field}&sort_order={order}&{page}")
        for page in (f"page={number}&size=50" for number in range(1, 21))
        for active in ("true", "false")
        for field in ("created_at", "username", "email")
        for order in ("asc", "desc")
    ]
    if scenario == "Statistics":
        return [statistics]
    if scenario == "Lists":
        return lists
    mixed: list[Request] = []
    for start in range(0, len(lists), 5):
        changes = [_change(user) for user in range(start + 1, start + 4)]
        mixed += [*lists[start : start + 5], *changes, statistics, statistics]
    return mixed


def _change(user: int) -> Request:
    """A new name each time: a change to the same value writes nothing."""
    return Request(f"/api/v1/users/{user}", "PATCH", json.dumps({"full_name": "Name COUNT"}))


def _run(scenario: str, clients: int, service: Instance) -> tuple[float, float]:
    """Requests a second, and the median of their milliseconds.

    Raises:
        RuntimeError: a request failed, so that something else was measured.
    """
    command = [sys.executable, "-m", "locust", "-f", "benchmarks/locustfile.py", scenario]
    options = ["--headless", "--json", "--only-summary", "-u", str(clients), "-r", str(clients)]
    host = ["--host", f"http://127.0.0.1:{service.port}", "-t", f"{SECONDS}s"]
    done = subprocess.run(  # noqa: S603  # of our own
        [*command, *options, *host],
        env={**os.environ, "TOKEN": service.token},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    entries = json.loads(done.stdout)
    if not entries:
        raise RuntimeError("nothing was answered")
    count = sum(entry["num_requests"] for entry in entries)
    seconds = max(e["last_request_timestamp"] for e in entries) - min(
        e["start_time"] for e in entries
    )
    times: dict[int, int] = {}
    for entry in entries:
        for taken, number in entry["response_times"].items():
            times[int(float(taken))] = times.get(int(float(taken)), 0) + number
    return count / seconds, _median(times)


def _median(counts: dict[int, int]) -> float:
    """Of values, each with how often it was seen."""
    half, seen = sum(counts.values()) / 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            break
    return value
