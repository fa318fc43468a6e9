"""The worked example, followed from top to bottom on a copy of the project."""

import pytest

from tests.documents.conftest import Checkout
from tests.documents.pages import ROOT, Block, apply, blocks_of

PAGE = ROOT / "docs" / "ADDING_A_RESOURCE.md"

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]


def write(checkout: Checkout, block: Block) -> None:
    """Do what a block with a path says."""
    assert block.path is not None, block.text
    file = checkout.path / block.path
    assert file.exists() or block.language != "diff", block.path
    text = apply(block.text, file.read_text()) if block.language == "diff" else block.text
    file.write_text(text)


def run(checkout: Checkout, command: str) -> str:
    """What it says. `make check` without the packages, which no resource changes."""
    return checkout.run("make check-code" if command == "make check" else command)


def test_whoever_follows_it_has_a_resource_that_passes_every_check(checkout):
    said = {}
    for block in blocks_of(PAGE):
        if block.language == "console":
            for command, _ in block.commands():
                said[command] = run(checkout, command)
        else:
            write(checkout, block)

    tests = next(output for command, output in said.items() if "pytest" in command)
    for name in ("test_notes.py", "test_access_matrix.py", "test_postman.py"):
        assert f"{name} ." in tests
