"""The revisions in the code, read without Alembic."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory

from app.database.migrations import _config
from app.database.schema_state import MigrationsError, head_revision, revisions

FIRST = 'revision: str = "a"\ndown_revision: str | None = None\n'
SECOND = 'revision = "b"\ndown_revision = "a"\n'
OTHER = 'down_revision = "a"\nrevision = "c"\n'
MERGE = 'revision = "d"\ndown_revision = (\n    "b",\n    "c",\n)\n'


def test_they_are_those_that_alembic_finds():
    scripts = ScriptDirectory.from_config(_config())

    assert revisions() == {
        script.revision: frozenset(script._all_down_revisions)
        for script in scripts.walk_revisions()
    }
    assert head_revision() == scripts.get_current_head()


@pytest.mark.parametrize(
    ("scripts", "head"),
    [([], None), ([FIRST], "a"), ([SECOND, FIRST], "b"), ([FIRST, SECOND, OTHER, MERGE], "d")],
    ids=["none", "one", "two", "a merge"],
)
def test_the_head_is_what_none_follows(tmp_path, scripts, head):
    for number, script in enumerate(scripts):
        (tmp_path / f"{number}.py").write_text(script)
    (tmp_path / "__init__.py").touch()

    assert head_revision(tmp_path) == head


def test_two_heads_are_named(tmp_path):
    for number, script in enumerate([FIRST, SECOND, OTHER]):
        (tmp_path / f"{number}.py").write_text(script)

    with pytest.raises(MigrationsError, match="multiple heads: b, c"):
        head_revision(tmp_path)


@pytest.mark.parametrize(
    "script",
    ['revision = "a"\n', 'import a\nrevision = a.NEXT\ndown_revision = "a"\n', ""],
    ids=["no down_revision", "no literal", "empty"],
)
def test_a_script_that_cannot_be_read_so_is_named(tmp_path, script):
    (tmp_path / "0001_users.py").write_text(script)

    with pytest.raises(MigrationsError, match=r"0001_users\.py: write `revision = `"):
        revisions(tmp_path)


def test_a_process_that_has_nothing_to_migrate_loads_no_alembic():
    code = "import sys, main; print([name for name in sys.modules if name.startswith('alembic')])"

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert loaded.splitlines()[-1] == "[]"
