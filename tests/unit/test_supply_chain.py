"""What the project is made of: pins, advisories, the bill of materials, and the files of CI."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dockerfile import Dockerfile

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
AUDIT = ROOT / ".ci" / "check_advisories.py"


def program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def image_python() -> list[str]:
    """The version of Python in the image, in three parts."""
    told = Dockerfile(ROOT / "deploy" / "Dockerfile").told("ARG")[0]
    return told.partition("=")[2].partition("-")[0].split(".")


def matrix() -> list[str]:
    versions: list[str] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["test"]["strategy"][
        "matrix"
    ]["python"]
    return versions


def locked(path: str) -> set[tuple[str, str]]:
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE)
    return set(found)


def test_the_image_runs_a_python_that_the_tests_run():
    assert ".".join(image_python()[:2]) in matrix()


def test_the_images_python_is_the_newest_that_the_locked_uv_knows():
    """The patch release; its list needs no network."""
    minor = ".".join(image_python()[:2])
    command = [program("uv"), "python", "list", minor, "--only-downloads", "--offline"]
    newest = subprocess.check_output([*map(str, command), "--output-format", "json"])

    known = {tuple(map(int, item["version"].split("."))) for item in json.loads(newest)}
    assert max(known) == tuple(map(int, image_python())), "deploy/Dockerfile: raise PYTHON"


def test_the_development_container_has_the_images_python():
    (base,) = Dockerfile(ROOT / ".devcontainer" / "Dockerfile").told("FROM")

    assert base == f"python:{'.'.join(image_python())}-trixie"


def test_the_metadata_name_the_versions_that_the_tests_run():
    python = "Programming Language :: Python :: "
    named = [c.removeprefix(python) for c in PROJECT["project"]["classifiers"] if python in c]

    assert named == matrix()
    assert PROJECT["project"]["requires-python"] == f">={matrix()[0]}"


def test_ci_of_a_clone_runs_what_ci_runs_here():
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["test"]["steps"]
    run = [step["run"] for step in steps if "run" in step]

    assert run[-2:] == (ROOT / ".ci" / "run").read_text().splitlines()[-2:]


def test_the_workflow_keeps_to_its_schema():
    schema = ["--builtin-schema", "vendor.github-workflows"]
    subprocess.run([program("check-jsonschema"), *schema, WORKFLOW], check=True)


def test_the_image_has_no_version_that_the_tests_do_not_have():
    assert locked("deploy/requirements.lock") <= locked("requirements-dev.lock")


def test_the_bill_of_materials_has_every_package_of_the_image_with_its_hash(tmp_path):
    target = tmp_path / "sbom.json"
    lock = ROOT / "deploy" / "requirements.lock"
    command = [program("cyclonedx-py"), "requirements", "-o", target, lock]
    subprocess.run([*map(str, command)], check=True, capture_output=True)

    components = json.loads(target.read_text())["components"]
    assert {(one["name"], one["version"]) for one in components} == locked(
        "deploy/requirements.lock"
    )
    assert all(one["externalReferences"][0]["hashes"] for one in components)


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--required"], 1)])
def test_advisories_that_cannot_be_looked_up_are_reported_as_such(options, code):
    nowhere = "http://127.0.0.1:9"
    ended = subprocess.run(
        [sys.executable, AUDIT, *options],
        cwd=ROOT,
        env={**os.environ, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == code
    assert "NOT AUDITED" in ended.stderr


def test_a_vulnerability_is_named_with_its_fix():
    vulnerabilities = runpy.run_path(str(AUDIT))["vulnerabilities"]
    unfixed: dict[str, Any] = {"id": "CVE-2", "fix_versions": []}
    packages = [
        {"name": "one", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]},
        {"name": "two", "version": "2.0", "vulns": [unfixed]},
        {"name": "clean", "version": "3.0", "vulns": []},
        {"name": "unknown", "skip_reason": "not found"},
    ]

    assert vulnerabilities(packages) == [
        "one 1.0: CVE-1, mended in 1.1",
        "two 2.0: CVE-2, mended in no version",
    ]


def test_every_accepted_advisory_has_a_reason_that_the_security_page_repeats():
    accepted = PROJECT["tool"]["advisories"]
    page = (ROOT / "docs" / "SECURITY.md").read_text()

    assert accepted
    assert all(len(reason) > 40 for reason in accepted.values())
    assert [name for name in accepted if name not in page] == []
