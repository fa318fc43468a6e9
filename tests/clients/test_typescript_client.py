"""The TypeScript client of docs/CLIENTS.md, with types that openapi-typescript makes of the
document: its types hold, and it works."""

import json
import subprocess

import pytest

from tests.clients.conftest import SUPERUSER, shown
from tests.conftest import PASSWORD


def test_the_page_installs_what_the_tests_have(repository):
    install = " ".join(line for block in shown("sh") for line in block.text.splitlines())
    pinned = json.loads((repository / "tests" / "node" / "package.json").read_text())

    for package in ("openapi-fetch", "openapi-typescript", "typescript"):
        assert package in pinned["devDependencies"]
        assert package in install
    assert pinned["devDependencies"]["typescript"].startswith("5.")


def test_its_types_hold(compiled):
    assert {file.stem for file in compiled.glob("*.js")} == {"client", "example", "smoke"}


@pytest.mark.direct
def test_it_works(compiled, site):
    command = ["node", compiled / "smoke.js", site.url, SUPERUSER, PASSWORD]

    report = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    assert report.returncode == 0, report.stdout
