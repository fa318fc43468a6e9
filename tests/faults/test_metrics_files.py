"""F3, F10: the folder of the workers' figures is full, fills up, or is removed."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import httpx
import psutil
import pytest

from app.embedded.polling import within
from tests.conftest import Servers
from tests.process import SERVE, Instance, instance
from tests.workers import SCRAPE_TOKEN, Scrape

SOON = 40
"""Seconds until files are written again: up to 15, and what a busy machine needs on top."""
PATHS = "/", "/health", "/health/live", "/api/v1/users", "/api/v1/users/1", "/api/v1/users/me"
METHODS = "GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"


@dataclass
class Site:
    """An instance of two workers, and the folder of its figures.

    Attributes:
        folder: as seen by the workers, whose mounts are their own.
    """

    instance: Instance
    folder: Path

    def workers(self) -> set[int]:
        found = set()
        for child in psutil.Process(self.instance.process.pid).children():
            with suppress(psutil.Error):
                if "--multiprocessing-fork" in child.cmdline():
                    found.add(child.pid)
        return found

    def resize(self, size: str) -> None:
        """Give the folder's file system another size."""
        pid = str(self.instance.process.pid)
        remount = "mount", "-o", f"remount,size={size}", str(self.folder)
        enter = "nsenter", "--user", "--preserve-credentials", "--mount", "--target", pid
        subprocess.run([*enter, *remount], check=True)

    def scrape(self) -> Scrape:
        """One worker's answer, each time over a connection of its own."""
        token = {"Authorization": f"Bearer {SCRAPE_TOKEN}"}
        url = f"{self.instance.url}/api/v1/metrics/prometheus"
        answer = httpx.get(url, headers=token, timeout=20)
        assert answer.status_code == 200, answer.text
        return Scrape(answer.text)

    def logged(self, event: str) -> int:
        """How many lines tell of it."""
        return self.instance.log.read_text().count(f'"{event}"')

    def agrees(self) -> bool:
        """Whether answers of each worker tell of both."""
        return all(self.scrape().value("worker_processes") == 2 for _ in range(10))

    def ask_for_everything(self) -> set[int]:
        """Ask each route, by each method, on connections to most likely both workers."""
        statuses = set()
        for _ in range(5):
            with httpx.Client(base_url=self.instance.url, timeout=20) as client:
                for method, path in product(METHODS, PATHS):
                    statuses.add(client.request(method, path).status_code)
        return statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "figures"
    folder.mkdir()
    return folder


@pytest.fixture
def site(servers: Servers, app: object, tmp_path: Path, folder: Path) -> Iterator[Site]:
    """Whose folder is a file system of four pages: less than the header of each file needs."""
    mount = f'mount -t tmpfs -o size=16k tmpfs {folder} && exec "$0" "$@"'
    prefix = "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount
    with instance(
        servers,
        tmp_path,
        command=(*prefix, *SERVE),
        SERVER_WORKERS="2",
        TMPDIR=str(folder),
        TELEMETRY_SCRAPE_TOKEN=SCRAPE_TOKEN,
    ) as served:
        yield Site(served, folder)


@pytest.mark.with_namespaces
def test_f3_a_full_file_system_kills_no_worker_and_figures_come_back_with_the_space(site):
    warned = 2  # a line by each worker
    assert within(SOON, lambda: site.logged("figures_in_memory") == warned)
    at_first = site.workers()
    alone = site.scrape()
    site.resize("720k")  # two workers have five files of 64 KiB each
    agreed = within(SOON, site.agrees)
    statuses = site.ask_for_everything()  # more than the histograms' files can hold
    counted = site.scrape().value("http_requests_total", route="/health/live")
    warned_again = within(SOON, lambda: site.logged("figures_in_memory") > warned)
    still = site.scrape().value("http_requests_total", route="/health/live")

    assert alone.value("worker_processes") == 1
    assert agreed
    assert warned_again
    assert 0 < counted <= still
    assert max(statuses) < 500
    assert site.workers() == at_first
    assert site.logged("worker_died") == 0
    assert site.instance.stop() == 0


@pytest.fixture
def pair(servers: Servers, app: object, tmp_path: Path, folder: Path) -> Iterator[Site]:
    with instance(
        servers,
        tmp_path,
        SERVER_WORKERS="2",
        TMPDIR=str(folder),
        TELEMETRY_SCRAPE_TOKEN=SCRAPE_TOKEN,
    ) as served:
        site = Site(served, folder)
        assert within(SOON, site.agrees)
        yield site


def test_f10_a_folder_that_is_removed_is_made_anew_and_a_killed_worker_replaced(pair):
    before = pair.workers()
    pair.ask_for_everything()
    live = {"route": "/health/live", "status": "200", "method": "GET"}
    (figures,) = pair.folder.glob("backend-api-metrics-*")
    shutil.rmtree(figures)
    statuses = pair.ask_for_everything()
    pair.scrape()
    psutil.Process(min(before)).send_signal(signal.SIGKILL)
    is_replaced = within(SOON, lambda: len(pair.workers()) == 2 and pair.workers() != before)
    agreed = within(SOON, pair.agrees)

    assert max(statuses) < 500
    assert is_replaced
    assert agreed
    # What the killed worker counted may have gone with its file; the other's is there.
    assert pair.scrape().value("http_requests_total", **live) > 0
    assert pair.instance.stop() == 0
    assert list(pair.folder.glob("backend-api-metrics-*")) == []
