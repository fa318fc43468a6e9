"""F18: somebody deletes `.local` while the embedded servers of development run on it."""

import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.embedded.polling import within
from app.services.monitoring.health import DELETED
from tests.conftest import PASSWORD
from tests.integration import test_cli
from tests.integration.test_cli import ADMIN, CLI, Visit, visiting

pytestmark = pytest.mark.direct
project = test_cli.project  # the fixture
AT_ONCE = 24
"""Requests, more than the pool keeps connections for: PostgreSQL has to open some anew, and those
are the ones that fail first."""
ENDED = 90
"""Seconds until PostgreSQL, which looks for its files every minute, has ended for want of them."""


def crowd(visit: Visit, token: str) -> list[httpx.Response]:
    """Reads and writes, all at once."""
    headers = {"Authorization": f"Bearer {token}"}

    def ask(n: int) -> httpx.Response:
        with httpx.Client(base_url=visit.client.base_url, timeout=60, headers=headers) as client:
            if n % 2:
                return client.get("/api/v1/users/cursor")
            return client.patch("/api/v1/users/1", json={"full_name": f"Ada {n}"})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, range(AT_ONCE)))


def database(visit: Visit) -> tuple[int, dict[str, Any]]:
    response = visit.client.get("/health")
    return response.status_code, response.json()["checks"]["database"]


def test_requests_that_need_the_database_are_503_until_a_restart(project):
    statuses: Counter[int] = Counter()
    errors = set()
    own = {"FIRST_SUPERUSER_PASSWORD": PASSWORD, "LIMITER_ENABLED": "false"}
    with visiting(project, *CLI, "serve", **own) as visit:
        assert within(30, lambda: visit.client.get("/health").status_code == 200)
        token = visit.login(ADMIN, PASSWORD).json()["access_token"]
        shutil.rmtree(project.path / ".local")

        status, check = database(visit)
        began = time.monotonic()
        while statuses[503] < AT_ONCE and time.monotonic() - began < ENDED:
            answers = crowd(visit, token)
            statuses.update(answer.status_code for answer in answers)
            errors |= {answer.json().get("error") for answer in answers}
        ended = visit.end(signal.SIGTERM)

    with visiting(project, *CLI, "serve") as again:
        assert within(30, lambda: again.client.get("/health").status_code == 200)
        again.end(signal.SIGTERM)

    assert (status, check["status"], check.get("error")) == (503, "unhealthy", DELETED)
    assert statuses[503] > 0
    assert set(statuses) <= {200, 503}
    assert "service_unavailable" in errors <= {None, "service_unavailable"}
    assert DELETED in ended.output
    assert project.processes() == []
