"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
