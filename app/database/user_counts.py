"""Migration operation: what keeps the counters of users, their triggers and their comparison with a
full count (ADR 23)."""

from collections.abc import Mapping

from alembic import op
from app.database import locks

# Hours for eight days, of which exact figures of the last week need seven; days for half a year, of
# which a quarter and the one before need 181; the sum of all before. The bucket of a bucket is the
# bucket itself or, later, a larger one.
_BUCKET = """
CREATE OR REPLACE FUNCTION user_count_bucket(moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN moment >= date_trunc('day', now(), 'UTC') - interval '192 hours'
            THEN date_trunc('hour', moment, 'UTC')
        WHEN moment >= date_trunc('day', now(), 'UTC') - interval '4392 hours'
            THEN date_trunc('day', moment, 'UTC')
        WHEN moment IS NOT NULL THEN '-infinity'
    END
$$
"""

# Without a search path of its own, it would not find the table in a restore, which sets none.
# TRUNCATE and not DELETE, since its transaction may not see all rows; they are gone already if the
# statement that fired the trigger has named both tables.
_TRIGGER_FUNCTION = """
CREATE OR REPLACE FUNCTION count_users() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        INSERT INTO user_counts (bucket, {names}, delta)
            SELECT user_count_bucket(created_at), {values}, count(*) FROM new_users
            GROUP BY GROUPING SETS ((1), ({places}));
    ELSIF tg_op = 'DELETE' THEN
        INSERT INTO user_counts (bucket, {names}, delta)
            SELECT user_count_bucket(created_at), {values}, -count(*) FROM old_users
            GROUP BY GROUPING SETS ((1), ({places}));
    ELSIF tg_op = 'UPDATE' THEN
        INSERT INTO user_counts (bucket, {names}, delta)
            SELECT bucket, {names}, sum(delta) FROM (
                SELECT user_count_bucket(created_at) AS bucket, {aliased}, 1 AS delta
                    FROM new_users
                UNION ALL SELECT user_count_bucket(created_at), {values}, -1 FROM old_users
            ) AS changes
            GROUP BY GROUPING SETS ((1), ({places})) HAVING sum(delta) <> 0;
    ELSE
        BEGIN
            TRUNCATE user_counts;
        EXCEPTION WHEN object_in_use THEN
            NULL;
        END;
    END IF;
    RETURN NULL;
END
$$
"""
_TRIGGERS = """
CREATE OR REPLACE TRIGGER count_inserted AFTER INSERT ON users
    REFERENCING NEW TABLE AS new_users FOR EACH STATEMENT EXECUTE FUNCTION count_users();
CREATE OR REPLACE TRIGGER count_deleted AFTER DELETE ON users
    REFERENCING OLD TABLE AS old_users FOR EACH STATEMENT EXECUTE FUNCTION count_users();
CREATE OR REPLACE TRIGGER count_updated AFTER UPDATE ON users
    REFERENCING OLD TABLE AS old_users NEW TABLE AS new_users
    FOR EACH STATEMENT EXECUTE FUNCTION count_users();
CREATE OR REPLACE TRIGGER count_truncated AFTER TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION count_users()
"""

# What has to be added to the counters: a full count less their sum, in one snapshot.
_ERRORS = """
CREATE VIEW user_count_errors AS
    SELECT bucket, {names}, sum(delta)::bigint AS delta FROM (
        SELECT user_count_bucket(created_at) AS bucket, {aliased}, count(*) AS delta
            FROM users GROUP BY GROUPING SETS ((1), ({places}))
        UNION ALL
        SELECT user_count_bucket(bucket), {names}, -sum(delta) FROM user_counts
            GROUP BY 1, {places}
    ) AS compared
    GROUP BY 1, {places} HAVING sum(delta) <> 0
"""

_CORRECTION = """
INSERT INTO user_counts (bucket, {names}, delta)
    SELECT bucket, {names}, delta FROM user_count_errors
"""


def count_users_by(states: Mapping[str, str]) -> None:
    """Count users by these states, and by when they were created, from now on and exactly.

    Run it last in a migration: it adds the columns that `user_counts` lacks, commits, and then
    counts all users without holding anyone up. An interrupted attempt can be repeated.

    Triggers are created first: that waits for the transactions that change users, and each later
    one counts itself. What is missing then is the difference between a full count and the counters
    in one snapshot, whatever is changed meanwhile.

    Args:
        states: SQL expression over `users`, never null, by column of `user_counts`.
    """
    parts = {
        "names": ", ".join(states),
        "values": ", ".join(states.values()),
        "aliased": ", ".join(f"{value} AS {name}" for name, value in states.items()),
        "places": ", ".join(str(place) for place in range(2, len(states) + 2)),
    }
    for name in states:
        op.execute(f"ALTER TABLE user_counts ADD COLUMN IF NOT EXISTS {name} boolean")
    op.execute(_BUCKET)
    op.execute("DROP VIEW IF EXISTS user_count_errors")
    op.execute(_ERRORS.format(**parts))
    op.execute(_TRIGGER_FUNCTION.format(**parts))
    for trigger in _TRIGGERS.split(";"):
        op.execute(trigger)
    with op.get_context().autocommit_block():
        # Before the statement whose snapshot it protects; two corrections would both be added.
        op.execute(f"SELECT pg_advisory_lock({locks.RECOUNT})")
        op.execute(_CORRECTION.format(**parts))
        op.execute(f"SELECT pg_advisory_unlock({locks.RECOUNT})")


def stop_counting_users() -> None:
    """Drop the triggers, and all that they need."""
    for trigger in ("count_inserted", "count_deleted", "count_updated", "count_truncated"):
        op.execute(f"DROP TRIGGER {trigger} ON users")
    op.execute("DROP VIEW user_count_errors")
    op.execute("DROP FUNCTION count_users()")
    op.execute("DROP FUNCTION user_count_bucket(timestamptz)")
