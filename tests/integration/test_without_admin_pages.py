"""The API without the admin pages: `app/admin` and its include can be deleted."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import PASSWORD, Servers
from tests.process import SERVE, instance

ADMIN = ("from app.admin.setup import include_admin\n", "    include_admin(app)\n")
"""The lines of main.py that know of the pages."""


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without `app/admin` and without the lines that include it."""
    folder = tmp_path_factory.mktemp("without-admin")
    ignore = shutil.ignore_patterns("admin", "__pycache__")
    for name in ("app", "alembic"):
        shutil.copytree(repository / name, folder / name, ignore=ignore)
    shutil.copy(repository / "alembic.ini", folder)
    main = (repository / "main.py").read_text()
    for line in ADMIN:
        assert main.count(line) == 1
        main = main.replace(line, "")
    (folder / "main.py").write_text(main)
    return folder


@pytest.fixture(scope="module")
def url(copy: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that runs the copy."""
    logs = tmp_path_factory.mktemp("logs")
    command = "env", "-C", str(copy), *SERVE
    with instance(servers, logs, command=command, PYTHONPATH=str(copy)) as site:
        yield site.url


def test_nothing_else_names_the_pages(copy: Path):
    naming = [
        str(path.relative_to(copy))
        for path in sorted(copy.rglob("*.py"))
        if "app.admin" in path.read_text()
    ]

    assert naming == []


def test_the_openapi_document_is_the_same(url: str, repository: Path):
    served = httpx.get(f"{url}/openapi.json").json()

    assert served == json.loads((repository / "docs" / "openapi.json").read_text())


def test_the_service_is_healthy(url: str):
    response = httpx.get(f"{url}/health")

    assert (response.status_code, response.json()["status"]) == (200, "healthy")


def test_a_user_signs_up_and_logs_in(url: str, client):
    credentials = {"email": "ada@example.com", "password": PASSWORD}

    created = httpx.post(f"{url}/api/v1/users", json=credentials)
    login = httpx.post(f"{url}/api/v1/auth/login", json=credentials)

    assert (created.status_code, login.status_code) == (201, 200)
    assert login.json()["access_token"]


@pytest.mark.parametrize("path", ["/", "/api/v1/dashboard", "/api/v1/dashboard/users"])
def test_the_pages_are_gone_and_their_refusal_is_json(url: str, path: str):
    response = httpx.get(f"{url}{path}", headers={"Accept": "text/html"})

    assert (response.status_code, response.json()["error"]) == (404, "not_found")
