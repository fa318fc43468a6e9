"""The service with several web processes, as `backend serve` starts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.embedded.files import free_port
from app.embedded.polling import within
from tests.conftest import Servers
from tests.process import instance

SCRAPE_TOKEN = "a scrape token that is only used in the tests"


@dataclass(frozen=True)
class Workers:
    """Where they are served."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        """What Prometheus would read."""
        response = httpx.get(
            f"{self.url}/api/v1/metrics/prometheus",
            headers={"Authorization": f"Bearer {SCRAPE_TOKEN}"},
            timeout=10,
        )
        assert response.status_code == 200, response.text
        return response.text

    def scrape(self) -> "Scrape":
        return Scrape(self.text())


class Scrape:
    """One exposition, read with the library's own parser."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def value(self, name: str, **having: str) -> float:
        """The sum of the samples with such labels."""
        return sum(self.values(name, **having))

    def values(self, name: str, **having: str) -> list[float]:
        return [
            value
            for sample, labels, value in self._samples
            if sample == name and having.items() <= labels.items()
        ]

    def labels(self, name: str, label: str) -> set[str]:
        return {labels[label] for sample, labels, _ in self._samples if sample == name}

    def series(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {(name, tuple(sorted(labels.items()))) for name, labels, _ in self._samples}


@contextmanager
def workers(servers: Servers, count: int = 2, **settings: str) -> Iterator[Workers]:
    """`backend serve` with `count` workers, all of them serving; ended by SIGTERM."""
    own = {"SERVER_WORKERS": str(count), "TELEMETRY_SCRAPE_TOKEN": SCRAPE_TOKEN, **settings}
    with (
        TemporaryDirectory(prefix="backend-api-") as folder,
        instance(servers, Path(folder), port := free_port(), **own),
    ):
        site = Workers(port)
        assert within(90, lambda: site.scrape().value("worker_processes") == count)
        yield site
