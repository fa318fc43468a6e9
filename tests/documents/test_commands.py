"""Commands that the documents show, run in a copy of the project."""

import re

import pytest

from tests.documents.pages import commands
from tests.documents.registry import RUN, WOULD_RUN, fits

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]


@pytest.mark.parametrize("command", RUN)
def test_a_command_says_what_it_did(migrated, command):
    said = RUN[command]
    typed = said.instead or command
    if typed.split()[0].isupper():
        typed = f'psql "$DATABASE_URL" --command="{typed}"'

    assert re.search(said.pattern, migrated.run(typed))


@pytest.mark.parametrize(
    ("command", "key"),
    [(one, key) for one in commands() for key in WOULD_RUN if fits(one, key)],
)
def test_make_would_run_what_is_meant(checkout, command, key):
    assert WOULD_RUN[key] in checkout.run(command.replace("make", "make --dry-run", 1))
