"""F6, R18: the service answers on without its log."""

import http.client
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from app.embedded.polling import within
from tests.conftest import Servers
from tests.process import CLI, Instance, environment, instance
from tests.workers import SCRAPE_TOKEN, Workers

WITHIN = 2.0
"""Seconds that a request may take on a busy machine; it takes milliseconds."""
STOPPED_IN = 10.0
"""Seconds from SIGTERM to the end, of which a worker that cannot write waits one."""
OWN = {"SERVER_DRAIN": "0", "TELEMETRY_SCRAPE_TOKEN": SCRAPE_TOKEN, "LIMITER_ENABLED": "false"}


class Caller:
    """One connection that is kept: where the service closes it, the next request fails."""

    def __init__(self, served: Instance) -> None:
        port = int(served.url.rpartition(":")[2])
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.connect()
        self._connection.auto_open = 0
        self.slowest = 0.0

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        began = time.monotonic()
        headers = {"Content-Type": "application/json"} if body else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        answer.read()
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer.status

    def close(self) -> None:
        self._connection.close()


@contextmanager
def calling(served: Instance) -> Iterator[Caller]:
    caller = Caller(served)
    try:
        yield caller
    finally:
        caller.close()


def use(served: Instance, workers: int) -> list[int]:
    """Statuses of reads and writes on connections that are kept, more than there are workers.

    Raises:
        OSError, http.client.HTTPException: a connection was closed under a request.
    """
    statuses = []
    for _ in range(workers * 3):
        with calling(served) as caller:
            for _ in range(10):
                statuses.append(caller.ask("POST", "/api/v1/auth/login", "{}"))
                statuses.append(caller.ask("GET", "/health/live"))
            assert caller.slowest < WITHIN
    return statuses


def dropped(served: Instance, reason: str) -> float:
    scrape = Workers(int(served.url.rpartition(":")[2])).scrape()
    return scrape.value("log_lines_dropped_total", reason=reason)


def assert_unharmed(served: Instance, workers: int) -> None:
    assert set(use(served, workers)) == {200, 422}
    assert httpx.get(f"{served.url}/health", timeout=5).status_code == 200


def assert_ends(served: Instance) -> None:
    began = time.monotonic()
    served.stop()
    assert time.monotonic() - began < STOPPED_IN
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">/dev/full 2>&1", ">&- 2>&-"])
def test_requests_are_unharmed_where_nothing_can_be_written(
    servers, app, tmp_path: Path, redirection, workers
):
    own = {**OWN, "SERVER_WORKERS": str(workers)}
    with instance(servers, tmp_path, None, redirection=redirection, **own) as served:
        assert_unharmed(served, workers)
        assert within(10, lambda: dropped(served, "failed") >= workers * 3)
        assert_ends(served)


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_unharmed_when_the_reader_of_the_log_ends(
    servers, app, tmp_path: Path, workers
):
    reader, writer = os.pipe()
    own = {**OWN, "SERVER_WORKERS": str(workers)}
    with instance(servers, tmp_path, None, redirection=into(writer), **own) as served:
        os.close(writer)
        use(served, workers)
        os.close(reader)

        assert_unharmed(served, workers)
        assert within(10, lambda: dropped(served, "failed") >= workers * 3)
        assert_ends(served)


def into(end: int) -> str:
    """Redirects to a pipe that this process has open."""
    return f">/proc/{os.getpid()}/fd/{end}"


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe into which nothing more fits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 512)
    try:
        yield reader, writer
    finally:
        for end in reader, writer:
            with suppress(OSError):
                os.close(end)


def later(reader: int) -> list[str]:
    """The lines that come until none comes for a second."""
    os.set_blocking(reader, False)
    read, last = bytearray(), time.monotonic()
    while time.monotonic() - last < 1:
        try:
            read += os.read(reader, 1 << 16)
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return [line for line in read.decode().splitlines() if line]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("also", ["", " 2>&1"])
def test_a_service_whose_log_is_blocked_starts_answers_and_ends(
    servers, app, tmp_path: Path, workers, also
):
    own = {**OWN, "SERVER_WORKERS": str(workers)}
    with (
        full_pipe() as (_, writer),
        instance(servers, tmp_path, None, redirection=into(writer) + also, **own) as served,
    ):
        assert_unharmed(served, workers)
        assert_ends(served)


def test_a_blocked_log_goes_on_in_order_and_says_what_is_missing(servers, app, tmp_path: Path):
    with (
        full_pipe() as (reader, writer),
        instance(servers, tmp_path, None, redirection=into(writer), **OWN) as served,
        calling(served) as caller,
    ):
        before = rss(served)
        for n in range(1000):  # 8 MB
            caller.ask("GET", f"/{n}/{'x' * 8000}")
        grown = rss(served) - before
        lost = dropped(served, "blocked")
        lines = later(reader)
        caller.ask("GET", "/afterwards")
        lines += later(reader)

    seen = [json.loads(line) for line in lines if line.startswith("{")]
    numbers = [int(line["path"].split("/")[1]) for line in seen if "xxx" in line.get("path", "")]
    (said,) = [line for line in seen if line["event"] == "log_lines_dropped"]
    assert numbers == list(range(len(numbers)))
    assert 400 < len(numbers) < 600
    assert said["blocked"] == lost == 1000 - len(numbers)
    assert seen.index(said) < len(seen) - 1
    assert seen[-1]["path"] == "/afterwards"
    assert grown < 32 << 20


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_lines_of_a_worker_that_stops_are_written(servers, app, tmp_path: Path, workers):
    own = {**OWN, "SERVER_WORKERS": str(workers)}
    with instance(servers, tmp_path, None, **own) as served:
        started = "Application startup complete"
        assert within(60, lambda: served.log.read_text().count(started) == workers)
        use(served, workers)
        assert_ends(served)

    log = served.log.read_text()
    assert log.count("Finished server process") == workers
    assert log.count('"path":"/api/v1/auth/login"') == workers * 30


def piped(servers: Servers, folder: Path, command: str, redirection: str) -> tuple[str, str]:
    """A command's exit code, and what it wrote to standard error unless that is redirected."""
    ended = subprocess.run(
        f"({shlex.join(CLI)} {command}; echo $? >{folder}/code) {redirection}",
        shell=True,
        env=environment(servers),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return (folder / "code").read_text().strip(), ended.stderr


@pytest.mark.parametrize("command", ["migrate", "purge-sessions"])
@pytest.mark.parametrize("redirection", ["| true", ">/dev/full", ">&- 2>&-"])
def test_a_command_whose_output_goes_nowhere_does_its_work_and_ends_quietly(
    servers, app, tmp_path: Path, command, redirection
):
    assert piped(servers, tmp_path, command, redirection) == ("0", "")


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_doctor_ends_quietly_where_its_table_is_not_read(servers, app, tmp_path: Path, reader):
    _, error = piped(servers, tmp_path, "doctor", f"| {reader}")

    assert error == ""  # how it ends, its findings say


def rss(served: Instance) -> int:
    size: int = psutil.Process(served.process.pid).memory_info().rss
    return size
