"""P11: three scenarios by locust, beside the rates that were hoped for."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.instance import Instance, application, servers
from benchmarks.report import Figure

SCENARIOS = {"Statistics": (100, 1000), "Lists": (50, 500), "Mixed": (100, 300)}
"""How many clients, and how many requests a second were hoped for."""
SECONDS = 10


def measure(runs: int) -> Iterator[Figure]:
    with servers() as own, application(own, 10_000) as service:
        for scenario, (clients, hoped_for) in SCENARIOS.items():
            found = [_run(scenario, clients, service) for _ in range(runs)]
            name = f"{scenario.lower()}, {clients} clients"
            rates = [rate for rate, _ in found]
            note = f"{hoped_for} requests/s hoped for"
            yield Figure("P11", name, rates, "requests/s", note=note)
            yield Figure("P11", f"{name}: median latency", [ms for _, ms in found], "ms")


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
