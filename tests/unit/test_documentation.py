"""What the documents name is there."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.database import Base
from main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_test_that_the_security_page_names_is_there():
    page = (ROOT / "docs" / "SECURITY.md").read_text()
    named = re.findall(r"`((?:unit|integration|faults|browser)/test_\w+\.py)(?:::(\w+))?`", page)

    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / "tests" / file).exists()
        or (test and f"def {test}(" not in (ROOT / "tests" / file).read_text())
    ]

    assert len(named) > 30
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_command_of_the_makefile_that_the_readme_names_is_there():
    named = re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text())
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(named) <= set(targets)


def rows_of_the_readme(heading: str) -> list[list[str]]:
    """The cells of the table below `heading`."""
    table = (ROOT / "README.md").read_text().partition(heading)[2].partition("\n\n")[0]
    return [row.strip("|").split("|") for row in table.splitlines()[2:]]


def paths_in(cell: str) -> list[str]:
    paths = re.findall(r"`(/[^`]*)`", cell.partition("(")[0])
    return [path if path.startswith("/health") else f"/api/v1{path}" for path in paths]


def test_every_step_of_the_flows_in_architecture_md_exists():
    flows = (ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("## Four flows")[2]
    steps = re.findall(r"`([\w/]+\.py):([\w.]+)`", flows.partition("## Decisions")[0])

    assert len(steps) > 30
    for file, name in steps:
        path = ROOT / "app" / file
        for part in name.split("."):
            assert re.search(
                rf"^ *(async def|def|class) {part}\b", path.read_text(), re.MULTILINE
            ), f"{file}:{name}"


def shown(path: str) -> bool:
    """Whether the README has the routes of this resource: those of your own need no row in it."""
    start = "/".join(path.split("/")[:4])
    return f"`{start.removeprefix('/api/v1')}" in (ROOT / "README.md").read_text()


def test_the_readme_has_every_operation():
    named = {
        (method, path)
        for cell, *_ in rows_of_the_readme("| method, path | who | what |")
        for method in re.findall("[A-Z]{3,}", cell.partition("`")[0])
        for path in paths_in(cell)
    }
    served = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }

    missing = {(method, path) for method, path in served - named if shown(path)}
    assert not missing, f"add rows to the table of the API in README.md: {sorted(missing)}"
    assert not named - served, f"README.md has what is not served: {sorted(named - served)}"


def test_the_readme_has_every_query_parameter():
    named = {
        (name, path)
        for names, paths, _ in rows_of_the_readme("| query parameter | of | what |")
        for name in re.findall(r"`(\w+)`", names)
        for path in paths_in(paths)
    }
    served = {
        (parameter["name"], path)
        for path, methods in app.openapi()["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }

    missing = {(name, path) for name, path in served - named if shown(path)}
    assert not missing, f"add rows to the table of query parameters in README.md: {sorted(missing)}"
    assert not named - served, f"README.md has what is not served: {sorted(named - served)}"


def test_every_metric_named_in_performance_md_exists():
    page = (ROOT / "docs" / "PERFORMANCE.md").read_text().partition("## Monitoring")[2]
    rows = [row.split("|")[3:6] for row in re.findall(r"^\| .*\?.*$", page, re.MULTILINE)]
    metrics, panels, alerts = ("\n".join(column) for column in zip(*rows, strict=True))
    board = json.loads((ROOT / "deploy" / "grafana" / "backend-api.json").read_text())
    exported = {f"{family.name}{end}" for family in REGISTRY.collect() for end in ("", "_total")}
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()

    titles = {panel["title"] for panel in board["panels"]}
    named = {name.strip() for name in re.split(r"[;\n]", panels)}
    assert len(rows) > 5
    assert named <= titles
    assert set(re.findall(r"`(\w+_\w+)`", metrics)) - {"slow_query"} <= exported
    assert set(re.findall(r"`(\w+)`", alerts)) <= set(re.findall(r"alert: (\w+)", rules))


def test_the_page_about_scaling_distributes_every_table(repository):
    page = (repository / "docs" / "SCALING.md").read_text()
    # Tables of resources that a product has added are its own matter.
    added = {
        file.stem.removeprefix("test_")
        for file in (repository / "tests" / "integration").glob("test_*.py")
        if "\nRESOURCE = Resource(" in file.read_text()
    }

    missing = {name for name in Base.metadata.tables if f"`{name}`" not in page}

    assert missing <= added
