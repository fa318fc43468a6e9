"""Made-up users in millions, written by the database itself.

`backend seed` makes users in Python and keeps every index current, which takes half an hour for ten
million. Here PostgreSQL makes them from the same names, and builds the indexes afterwards.
"""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.cli.seed import DOMAINS, YEARS, names

BATCH = 250_000
"""Users of one statement."""

_INDEXES = text("""
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
        FROM pg_index WHERE indrelid = 'users'::regclass
        AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE conrelid = indrelid)
    UNION ALL SELECT format('ALTER TABLE users DROP CONSTRAINT %I', conname),
            format('ALTER TABLE users ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype = 'u'
""")
# The inner query is not flattened, so that each chance is taken once for a user.
_USERS = text("""
    INSERT INTO users (email, username, full_name, hashed_password, is_active, is_superuser,
        created_at, updated_at)
    SELECT handle || '@' || (cast(:domains AS text[]))[1 + floor(random() * :domain_count)], handle,
        given || ' ' || family, :hashed, random() >= 0.1, random() < 0.005,
        now() - age, now() - age * random()
    FROM (
        SELECT left(ascii_given || '.' || ascii_family, 20) || number AS handle, given, family, age
        FROM (
            SELECT number, 1 + floor(random() * :given_count)::int AS given_place,
                1 + floor(random() * :family_count)::int AS family_place,
                make_interval(secs => :span * random() ^ 2) AS age
            FROM generate_series(cast(:first AS bigint), cast(:last AS bigint)) AS number
            OFFSET 0
        ) AS made,
        LATERAL (SELECT (cast(:given AS text[]))[given_place] AS given,
            (cast(:ascii_given AS text[]))[given_place] AS ascii_given,
            (cast(:family AS text[]))[family_place] AS family,
            (cast(:ascii_family AS text[]))[family_place] AS ascii_family) AS named
        OFFSET 0
    ) AS people
""")

# Four of five were seen since they signed up, most of them not long ago.
_ACTIVITY = text("""
    INSERT INTO user_activity (user_id, seen_on)
    SELECT id, cast(now() - (now() - created_at) * random() ^ 3 AS date) FROM users
    WHERE random() < 0.8
""")


async def populate(
    engine: AsyncEngine, count: int, hashed_password: str, progress: Callable[[int], None]
) -> None:
    """Insert `count` users, distributed as those of `backend seed`, into an empty table.

    Args:
        engine: of the database, migrated; its statements have time.
        count: number of users.
        hashed_password: of all of them.
        progress: called after each batch with the number so far.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SET maintenance_work_mem = '1GB'"))
        indexes = (await connection.execute(_INDEXES)).all()
        for drop, _ in indexes:
            await connection.execute(text(drop))
        await _insert(connection, count, hashed_password, progress)
        for _, create in indexes:
            await connection.execute(text(create.replace(":", "\\:")))
        # Statistics of expressions do not survive their index.
        await connection.execute(
            text("ALTER INDEX ix_users_search ALTER COLUMN 1 SET STATISTICS 1000")
        )
        await connection.execute(_ACTIVITY)
        await connection.execute(text("VACUUM ANALYZE users, user_activity"))
        await connection.invalidate()


async def _insert(
    connection: AsyncConnection, count: int, hashed: str, progress: Callable[[int], None]
) -> None:
    given, family = names("given_names.txt"), names("family_names.txt")
    values: dict[str, object] = {
        "hashed": hashed,
        "domains": list(DOMAINS),
        "domain_count": len(DOMAINS),
        "given_count": len(given),
        "family_count": len(family),
        "span": YEARS * 365 * 86_400,
        "given": list(given),
        "ascii_given": list(given.values()),
        "family": list(family),
        "ascii_family": list(family.values()),
    }
    await connection.execute(text("SELECT setseed(0.5)"))
    for first in range(1, count + 1, BATCH):
        last = min(first + BATCH - 1, count)
        await connection.execute(_USERS, {**values, "first": first, "last": last})
        progress(last)
