"""People in the database."""

import pytest
from sqlalchemy import insert, text

from app.models import User
from tests.conftest import Person
from tests.mailbox import Mailbox
from tests.people import Row, people


@pytest.fixture
async def everybody(root: Person, runtime) -> list[Row]:
    """Everybody there is, as the database has them."""
    async with runtime.engine.begin() as connection:
        await connection.execute(insert(User), people())
        rows = await connection.execute(text("SELECT * FROM users"))
        return [dict(row) for row in rows.mappings()]


@pytest.fixture
def mailbox(client, runtime) -> Mailbox:
    return Mailbox(runtime)
