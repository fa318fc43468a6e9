"""`backend new resource`: what it refuses, and what it lists."""

import shlex

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.core.config import ROOT


def listed(arguments: str) -> tuple[int, str]:
    """Exit code and output of a dry run."""
    command = ["new", "resource", *shlex.split(arguments), "--dry-run"]
    result = CliRunner().invoke(cli, command)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("user email:str:9", "there is a resource 'user' already"),
        ("permission name:str:9", "the API has /api/v1/permissions already"),
        ("user_session name:str:9", "the API has list_user_sessions already"),
        ("token name:str:9", "the API has TokenSchema already"),
        ("Project name:str:9", "no name of a resource"),
        ("class name:str:9", "has a meaning already"),
        ("sheep name:str:9 --plural sheep", "has to differ"),
        ("project name", "no field"),
        ("project name:strange", "there is no type 'strange'"),
        ("project name:str", "takes 1 number(s)"),
        ("project name:str:0", "takes 1 number(s)"),
        ("project price:decimal:2,3", "no more places than digits"),
        ("project id:int", "has a meaning already"),
        ("project copy:int", "has a meaning already"),
        ("project state:enum:a,a", "each value once"),
        ("project state:enum:a,b=c", "no value of this type"),
        ("project due:date=tomorrow", "no value of this type"),
        ("project 'extra:json={}'", "has no default"),
        ("project name:str:9 name:int", "would be there twice"),
        ("project due:date due_from:date", "would be there twice"),
        ("project owner:user author:user", "one owner"),
        ("project owner:user?", "every row has an owner"),
        ("project part:ref:nothing", "no resource 'nothing'"),
        ("project part:ref:project", "refers to itself"),
        ("project editor:ref:user owner:user", "make it optional"),
    ],
)
def test_a_resource_that_is_not_possible_is_refused(arguments, reason):
    code, output = listed(arguments)

    assert code == 1
    assert reason in output
    assert "would write" not in output


def test_a_dry_run_lists_the_files_and_writes_none():
    code, output = listed("example_note text:text owner:user")

    assert code == 0
    assert "would write app/models/example_note.py" in output
    assert "would change app/api/v1/router.py" in output
    assert not (ROOT / "app" / "models" / "example_note.py").exists()


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("example_category", "example_categories"),
        ("example_box", "example_boxes"),
        ("example_day", "example_days"),
    ],
)
def test_plurals_are_english(name, plural):
    assert f"tests/integration/test_{plural}.py" in listed(f"{name} label:str:9")[1]
