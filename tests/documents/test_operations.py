"""What the pages tell whoever runs it to say to PostgreSQL and Redis."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from sqlalchemy import make_url

from app.embedded.valkey import EmbeddedValkey
from tests.documents.pages import OPERATIONS, ROOT, blocks_of

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]


def inline(command: str) -> str:
    """A command within the text of OPERATIONS: an error, where it is not there any more."""
    assert f"`{command}`" in " ".join(OPERATIONS.read_text().split())
    return command


async def test_while_two_roles_log_in_a_password_may_change(servers):
    commands = [inline("GRANT app TO app_a, app_b"), inline("ALTER ROLE app_a SET role = app")]
    roles = ["app", "app_a", "app_b"]
    names = {role: f"docs_{role}" for role in roles}  # the server has an `app` already

    def of_the_test(command: str) -> str:
        return re.sub(r"\bapp(_[ab])?\b", lambda found: names[found[0]], command)

    admin = await asyncpg.connect(servers.direct)
    try:
        await admin.execute(f"CREATE ROLE {names['app']}")
        for role in ("app_a", "app_b"):
            await admin.execute(f"CREATE ROLE {names[role]} LOGIN PASSWORD 'old'")
        for command in commands:
            await admin.execute(of_the_test(command))
        url = make_url(servers.direct).set(username=names["app_a"], password="old")
        user = await asyncpg.connect(url.render_as_string(hide_password=False))
        is_now = await user.fetchval("SELECT current_user")
        await user.close()
    finally:
        await admin.execute(f"DROP ROLE IF EXISTS {', '.join(names.values())}")
        await admin.close()

    assert is_now == names["app"]


@pytest.fixture
def valkey() -> Iterator[str]:
    """A server of its own, since its password changes."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedValkey(Path(folder) / "valkey") as url:
            yield url


async def test_while_redis_takes_two_passwords_one_may_change(valkey):
    add, remove = inline("ACL SETUSER default >new"), inline("ACL SETUSER default <old")
    old = urlsplit(valkey).password or ""

    async with Redis.from_url(valkey) as service:
        await service.execute_command(*add.split())
        before = [await is_let_in(valkey, password) for password in (old, "new")]
        await service.execute_command(*remove.replace("<old", f"<{old}").split())
        after = [await is_let_in(valkey, password) for password in (old, "new")]

    assert (before, after) == ([True, True], [False, True])


async def is_let_in(url: str, password: str) -> bool:
    port = urlsplit(url).port or 0
    async with Redis(port=port, password=password) as client:
        try:
            return bool(await client.ping())
        except AuthenticationError:
            return False


async def test_the_index_for_search_may_be_made_later(migrated):
    definition = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_users_search'"
    (block,) = (b for b in blocks_of(ROOT / "docs" / "PERFORMANCE.md") if b.language == "sql")
    owner = await asyncpg.connect(migrated.environment["DATABASE_URL"])
    try:
        was = await owner.fetchval(definition)
        await owner.execute("DROP EXTENSION pg_trgm CASCADE")
        assert await owner.fetchval(definition) is None
        await owner.execute("CREATE EXTENSION pg_trgm")
        for statement in block.text.rstrip(";\n").split(";\n"):
            await owner.execute(statement)
        now = await owner.fetchval(definition)
    finally:
        await owner.close()

    assert now == was
