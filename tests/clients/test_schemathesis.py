"""Schemathesis makes requests of the OpenAPI document, right ones and wrong ones, and sequences of
them, and holds each answer against it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Site

pytestmark = [pytest.mark.direct, pytest.mark.timeout(400)]
HERE = Path(__file__).parent
PATHS = "SCHEMATHESIS_PATHS"
"""A variable: a regular expression of the paths to try, instead of all."""


def schemathesis(
    site: Site, place: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Its command line, in a process of its own: its pytest plugin is left out of ours.

    Args:
        site: what is tried.
        place: where it keeps its notes.
        options: of the command line.
        environment: of the process.
    """
    tool = [sys.executable, "-m", "schemathesis.cli", "--no-color"]
    configured = [*tool, "--config-file", str(HERE / "schemathesis.toml")]
    chosen = ["--include-path-regex", os.environ[PATHS]] if PATHS in os.environ else []
    return subprocess.run(
        [*configured, "run", *chosen, *options, f"{site.url}/openapi.json"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **environment},
    )


def test_a_superuser_finds_nothing_amiss(site, tmp_path):
    hooks = {
        "SCHEMATHESIS_HOOKS": "tests.clients.superusers",
        "SITE_URL": site.url,
        "SITE_DATABASE": site.database,
    }

    report = schemathesis(site, tmp_path, **hooks)

    assert report.returncode == 0, report.stdout


def test_an_anonymous_client_finds_no_fault(site, tmp_path):
    report = schemathesis(site, tmp_path, "--phases", "fuzzing,stateful")

    assert report.returncode == 0, report.stdout
