"""The revisions in the code, read without Alembic."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.database.migrations import _config
from app.database.schema_state import MigrationsError, head_revision, revisions

FIRST = 'revision: str = "a"\ndown_revision: str | None = None\n'
SECOND = 'revision = "b"\ndown_revision = "a"\n'
OTHER = 'down_revision = "a"\nrevision = "c"\n'
MERGE = 'revision = "d"\ndown_revision = (\n    "b",\n    "c",\n)\n'


def write(folder: Path, scripts: Sequence[str]) -> None:
    for number, script in enumerate(scripts):
        (folder / f"{number}.py").write_text(script)


def test_they_are_those_that_alembic_finds():
    scripts = ScriptDirectory.from_config(_config())

    assert revisions() == {
        script.revision: frozenset(script._versioned_down_revisions)
        for script in scripts.walk_revisions()
    }
    assert head_revision() == scripts.get_current_head()


@pytest.mark.parametrize(
    ("scripts", "head"),
    [([FIRST], "a"), ([SECOND, FIRST], "b"), ([FIRST, SECOND, OTHER, MERGE], "d")],
    ids=["one", "two", "a merge"],
)
def test_the_head_is_what_none_follows(tmp_path, scripts, head):
    write(tmp_path, scripts)
    (tmp_path / "__init__.py").touch()
    (tmp_path / ".#0.py").symlink_to("somebody@machine")  # an editor's lock

    assert head_revision(tmp_path) == head


def test_two_heads_are_named(tmp_path):
    write(tmp_path, [FIRST, SECOND, OTHER])

    with pytest.raises(MigrationsError, match="multiple heads: b, c"):
        head_revision(tmp_path)


@pytest.mark.parametrize(
    "script",
    [
        'revision = "a"\n',
        'import a\nrevision = a.NEXT\ndown_revision = "a"\n',
        'revision, down_revision = "b", "a"\n',
        'revision = "b"\ndown_revision = 1\n',
        'revision = "b"\ndown_revision = (1, 2)\n',
        'revision = 2\ndown_revision = "a"\n',
        'revision = "b\n',
        "",
    ],
)
def test_a_script_that_cannot_be_read_is_named(tmp_path, script):
    (tmp_path / "0001_users.py").write_text(script)

    with pytest.raises(MigrationsError, match=r"0001_users\.py cannot be read"):
        revisions(tmp_path)


def test_two_scripts_of_one_revision_are_named(tmp_path):
    """As two branches make it that each add a resource."""
    for name, script in {"a": FIRST, "b_one": SECOND, "b_two": SECOND}.items():
        (tmp_path / f"{name}.py").write_text(script)

    with pytest.raises(MigrationsError, match=r"b_one\.py and b_two\.py have the same revision b"):
        head_revision(tmp_path)


@pytest.mark.parametrize(
    ("scripts", "fault"),
    [
        ([], "no migrations in"),
        ([SECOND], r"0\.py follows a, which no script has"),
        ([SECOND, 'revision = "a"\ndown_revision = "b"\n'], "in a circle"),
    ],
    ids=["none", "a gap", "a circle"],
)
def test_a_history_without_a_head_is_refused(tmp_path, scripts, fault):
    write(tmp_path, scripts)

    with pytest.raises(MigrationsError, match=fault):
        head_revision(tmp_path)


def test_a_process_that_has_nothing_to_migrate_loads_no_alembic():
    code = "import sys, main; print([name for name in sys.modules if name.startswith('alembic')])"

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert loaded.splitlines()[-1] == "[]"
