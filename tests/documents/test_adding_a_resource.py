"""The commands of docs/ADDING_A_RESOURCE.md, on a copy that has a resource already."""

import re
from pathlib import Path

import pytest

from tests.documents.conftest import NODE, WHOLE_SCHEMA, Checkout
from tests.documents.pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "ADDING_A_RESOURCE.md"
EVERYTHING = (
    "backend new resource category label:str:40 rank:int 'price:decimal(6,2)?' 'key:uuid?' "
    "'extra:json?' 'opens:datetime?' 'day:date=2026-11-27' kind:enum:a,b=a 'text:text?' "
    "'editor:ref(user)?' is_shown:bool=true"
)
CHECKS = (
    f"{WHOLE_SCHEMA} tests/integration/test_categories.py tests/integration/test_projects.py "
    "tests/integration/test_tasks.py tests/integration/test_access_matrix.py "
    "tests/integration/test_methods.py "
    "tests/unit/test_documentation.py tests/unit/test_postman.py tests/clients/test_openapi.py "
    "tests/clients/test_postman.py tests/clients/test_schemathesis.py"
)
"""Every test that looks at all tables or all operations."""
NEW = ("categor", "project", "task")
OTHERS = "not test_access_matrix and not passes_alone and not pass_together"
CHOSEN = " or ".join([f"({OTHERS})", *NEW, "operation", "hidden"])
"""Of the access matrix and of the collections those of the new resources, and what looks at all."""

pytestmark = [pytest.mark.direct, pytest.mark.timeout(900)]


def is_followed(command: str, path: Path) -> bool:
    """Whether it writes a resource that a clone has already, since its owner followed the page."""
    name = re.search(r"new resource (\w+)", command)
    return name is not None and (path / "app" / "models" / f"{name[1]}.py").exists()


def test_two_resources_pass_every_check_beside_one_that_is_there(checkout: Checkout):
    (console,) = [block for block in blocks_of(PAGE) if block.language == "console"]

    for command in (f".venv/bin/{EVERYTHING}", *(command for command, _ in console.commands())):
        if is_followed(command, checkout.path):
            continue
        if command == "make test":
            node = checkout.path / NODE
            tests = f".venv/bin/python -m pytest -n 0 -q {CHECKS} -k '{CHOSEN}'"
            output = checkout.run(tests, NODE=str(node), SCHEMATHESIS_PATHS="|".join(NEW))
            assert "failed" not in output
        elif command == "make check":  # without the packages, which no resource changes
            checkout.run("make check-code")
        else:
            checkout.run(command)
