"""F15: a database whose encoding is not UTF-8."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.database.migrations import migrate
from app.database.schema_state import MigrationsError
from tests.conftest import Servers
from tests.databases import engine_of, new_database
from tests.integration import test_cli
from tests.integration.test_cli import production

pytestmark = pytest.mark.direct
project = test_cli.project  # the fixture


@pytest.fixture(params=["LATIN1", "SQL_ASCII", "EUC_JP"])
async def foreign(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[str]:
    """URL of an empty database of another encoding."""
    options = (
        f"TEMPLATE template0 ENCODING '{request.param}' LOCALE_PROVIDER libc LC_COLLATE 'C' "
        "LC_CTYPE 'C'"
    )
    async with new_database(servers.direct, options) as url:
        yield url


async def test_f15_another_encoding_is_refused_before_anything_is_changed(
    foreign, settings: Settings
):
    """F15: it was migrated without a word."""
    own = settings.replaced(database={"url": SecretStr(foreign)})
    async with engine_of(own.database) as engine:
        with pytest.raises(MigrationsError, match="and must be UTF8: create another"):
            await migrate(engine)

        async with engine.connect() as connection:
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert await connection.scalar(text(tables)) == 0


@pytest.mark.parametrize("foreign", ["LATIN1"], indirect=True)
def test_f15_the_commands_say_what_to_do(project, foreign, servers):
    environment = production(
        {
            "DATABASE_URL": foreign,
            "CACHE_REDIS_URL": servers.redis,
            "LIMITER_REDIS_URL": servers.redis,
        }
    )

    migrated = project.cli("migrate", **environment)
    examined = project.cli("doctor", **environment)

    assert (migrated.code, examined.code) == (1, 1)
    assert "the database's encoding is LATIN1, and must be UTF8" in migrated.output
    assert "Traceback" not in migrated.output
    assert "LATIN1" in examined.output
    assert "template0" in examined.output
