"""newman runs the Postman collections, as `make postman` does."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.conftest import SUPERUSER, Site, Tool, fresh_site
from tests.conftest import PASSWORD, Servers

pytestmark = [pytest.mark.direct, pytest.mark.timeout(400)]
POSTMAN = Path(__file__).resolve().parents[2] / "postman"
COLLECTIONS = sorted(POSTMAN.glob("*.postman_collection.json"))


@pytest.fixture(scope="module")
async def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One as `make run` starts it, its limits included."""
    development = {"ENVIRONMENT": "development"}
    async with fresh_site(servers, tmp_path_factory.mktemp("site"), **development) as site:
        yield site


@pytest.fixture
def together(tmp_path: Path) -> Path:
    """One collection with a folder for each: in one run they share variables and cookies."""
    collections = [json.loads(file.read_text()) for file in COLLECTIONS]
    folders = [
        {"name": one["info"]["name"]}
        | {part: one[part] for part in ("auth", "event", "item") if part in one}
        for one in collections
    ]
    file = tmp_path / "together.json"
    file.write_text(json.dumps({"info": collections[0]["info"], "item": folders}))
    return file


def newman(node: Tool, site: Site, collection: Path, times: int) -> None:
    """Run a collection some times over, and print the report."""
    told = {
        "base_url": site.url,
        "superuser_email": SUPERUSER,
        "superuser_password": PASSWORD,
    }
    variables = [part for name in told for part in ("--env-var", f"{name}={told[name]}")]
    environment = POSTMAN / "Backend-API.postman_environment.json"
    options = ["--color", "off", "--iteration-count", str(times), *variables]
    report = node("newman", "run", collection, "--environment", environment, *options)

    print(report.stdout)  # noqa: T201  # what `make postman` shows
    assert report.returncode == 0


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda file: file.name.split(".")[1])
def test_a_collection_passes_alone(node, site, collection):
    newman(node, site, collection, times=1)


def test_all_collections_pass_together_and_at_once_again_on_a_used_database(node, site, together):
    """U5: a developer who runs them twice within a minute meets no limit."""
    newman(node, site, together, times=2)
