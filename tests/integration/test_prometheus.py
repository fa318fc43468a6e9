"""The rules, the board, and a real Prometheus that reads two workers."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from app.embedded.files import free_port
from app.embedded.polling import within
from tests.conftest import PASSWORD, Servers
from tests.debian import program
from tests.launcher import answers, launched
from tests.workers import SCRAPE_TOKEN, Workers, workers

pytestmark = pytest.mark.direct

OURS = re.compile(r"\b(?:http|database|cache|redis|event_loop|password|worker)_[a-z_]+")


@pytest.fixture(scope="module")
def site(servers: Servers) -> Iterator[Workers]:
    with workers(servers, SERVER_REQUEST_TIMEOUT="1") as site:
        yield site


@pytest.fixture(scope="module")
def prometheus() -> Path:
    return program("prometheus").path


@pytest.fixture
def rules(repository: Path) -> Path:
    return repository / "deploy" / "prometheus"


def promtool(prometheus: Path, *arguments: str, **options: Any) -> str:
    """What it says; it has to find nothing."""
    told: subprocess.CompletedProcess[str] = subprocess.run(
        [prometheus.with_name("promtool"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert told.returncode == 0, told.stdout
    return told.stdout


def test_promtool_finds_the_rules_in_order_and_their_tests_pass(prometheus, rules):
    checked = promtool(prometheus, "check", "rules", "--lint-fatal", "alerts.yml", cwd=rules)
    tested = promtool(prometheus, "test", "rules", "alerts_test.yml", cwd=rules)

    assert "SUCCESS" in checked
    assert "SUCCESS" in tested


def test_promtool_finds_the_configuration_in_order(prometheus, rules, tmp_path):
    for file in rules.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "scrape_token").write_text(SCRAPE_TOKEN)

    assert "SUCCESS" in promtool(prometheus, "check", "config", "prometheus.yml", cwd=tmp_path)


def test_promtool_finds_the_figures_in_order(prometheus, site):
    httpx.get(f"{site.url}/nowhere")

    assert promtool(prometheus, "check", "metrics", input=site.text()) == ""


def alerts(rules: Path) -> set[str]:
    return set(re.findall(r"alert: (\w+)", (rules / "alerts.yml").read_text()))


def test_every_rule_has_a_test_in_which_it_fires(rules):
    cases = (rules / "alerts_test.yml").read_text().split("- alertname: ")[1:]

    fires = {case.split()[0] for case in cases if "exp_labels" in case}

    assert len(fires) >= 15
    assert fires == alerts(rules)


def test_the_operations_page_says_what_to_do_for_every_alert(rules, repository):
    page = (repository / "docs" / "OPERATIONS.md").read_text()

    assert {name for name in alerts(rules) if f"`{name}`" not in page} == set()


def test_every_figure_that_the_rules_and_the_board_name_is_exposed(app, rules, repository):
    board = json.loads((repository / "deploy" / "grafana" / "backend-api.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rule = re.sub(r'summary: ".*"|#.*', "", (rules / "alerts.yml").read_text())
    named = set(OURS.findall("\n".join([*expressions, rule])))
    exposed = {
        f"{family.name}{suffix}"
        for family in REGISTRY.collect()
        for suffix in {"counter": ["_total"], "histogram": ["_bucket"]}.get(family.type, [""])
    }

    assert len(named) > 20
    assert named - exposed == set()


def test_the_board_has_panels_that_do_not_overlap(repository):
    board = json.loads((repository / "deploy" / "grafana" / "backend-api.json").read_text())

    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1")

    def value(self, query: str) -> float | None:
        """Of the one series that answers; None where there is none yet."""
        results = self._client.get("/query", params={"query": query}).json()["data"]["result"]
        return float(results[0]["value"][1]) if len(results) == 1 else None

    def firing(self) -> set[str]:
        active = self._client.get("/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in active if alert["state"] == "firing"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


@contextmanager
def watching(program: Path, rules: Path, site: Workers, folder: Path) -> Iterator[Prometheus]:
    """Prometheus with our configuration, in more of a hurry."""
    configuration = (rules / "prometheus.yml").read_text()
    for ours, hurried in (("15s", "1s"), ("localhost:8000", f"127.0.0.1:{site.port}")):
        assert ours in configuration
        configuration = configuration.replace(ours, hurried)
    (folder / "prometheus.yml").write_text(configuration)
    (folder / "alerts.yml").write_text((rules / "alerts.yml").read_text())
    (folder / "scrape_token").write_text(SCRAPE_TOKEN)
    port = free_port()
    command = (
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    is_ready = partial(answers, f"http://127.0.0.1:{port}/-/ready")
    with launched(command, folder / "prometheus.log", is_ready), Prometheus(port) as watcher:
        yield watcher


async def test_prometheus_reads_two_workers_and_raises_an_alert(
    prometheus, rules, site, servers, tmp_path
):
    with watching(prometheus, rules, site, tmp_path) as watcher:
        assert within(30, lambda: (watcher.value("count_over_time(up[1m])") or 0) > 2)
        assert watcher.value('up{job="backend-api"}') == 1
        assert watcher.value("count(database_pool_process_size)") == 2
        assert watcher.value("database_pool_size") == 10
        assert watcher.value("http_request_timeouts_total") == 0
        assert "RequestTimeouts" not in watcher.firing()

        status = await login_while_the_table_is_locked(site, servers)

        assert status == 504
        assert within(30, lambda: "RequestTimeouts" in watcher.firing())


async def login_while_the_table_is_locked(site: Workers, servers: Servers) -> int:
    connection = await asyncpg.connect(servers.postgres)
    login = {"email": "ada@example.com", "password": PASSWORD}
    async with httpx.AsyncClient(timeout=10) as client, connection.transaction():
        await connection.execute("LOCK TABLE users")
        response = await client.post(f"{site.url}/api/v1/auth/login", json=login)
    await asyncio.wait_for(connection.close(), 5)
    return response.status_code
