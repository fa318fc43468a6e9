"""normalised_users: usernames compared alike in every collation, existing rows in the one spelling.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
import structlog

from alembic import op
from app.core.text.normalisation import normalise_login, normalise_name
from app.database.migrations import replace_index

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

log = structlog.get_logger("app.migrations")

BATCH = 1_000

# Two usernames that the database's collation told apart, as Turkish does IVAN and ivan: the older
# account keeps its name, the others get an ending.
RENAME_DUPLICATES = """
    UPDATE users SET username = left(username, 23) || '-' || left(md5(id::text), 8)
    WHERE EXISTS (
        SELECT FROM users AS older
        WHERE lower(older.username COLLATE "C") = lower(users.username COLLATE "C")
            AND older.id < users.id
    )
"""
# ASCII alone is in its one spelling already, but for upper case and punycode.
CANDIDATES = sa.text("""
    SELECT id, email, full_name FROM users
    WHERE id > :last AND (
        octet_length(email) > length(email) OR octet_length(full_name) > length(full_name)
        OR email LIKE '%xn--%' OR email ~ '[A-Z[:space:]]'
    )
    ORDER BY id LIMIT :batch
""")
SET_NAME = sa.text("UPDATE users SET full_name = :new WHERE id = :id AND full_name = :old")
SET_EMAIL = sa.text("""
    UPDATE users SET email = :new WHERE id = :id AND email = :old
        AND NOT EXISTS (SELECT FROM users AS other WHERE other.email = :new)
""")


def upgrade() -> None:
    op.execute(RENAME_DUPLICATES)
    replace_index("uq_users_username_lower", 'ON users (lower(username COLLATE "C"))', unique=True)
    if not op.get_context().as_sql:  # a script cannot convert punycode
        with op.get_context().autocommit_block():
            normalise_rows(op.get_bind())


def normalise_rows(connection: sa.Connection) -> None:
    """Bring emails and names into the spelling that look-ups use, a row at a time, so that no
    lock is held. An email that another user has already is left as it is, and counted."""
    changed = skipped = last = 0
    while rows := connection.execute(CANDIDATES, {"last": last, "batch": BATCH}).all():
        for row in rows:
            email, name = normalise_login(row.email), _name(row.full_name)
            if name != row.full_name:
                connection.execute(SET_NAME, {"id": row.id, "old": row.full_name, "new": name})
                changed += 1
            if email != row.email:
                is_changed = _set_email(connection, row.id, row.email, email)
                changed += is_changed
                skipped += not is_changed
        last = rows[-1].id
    if changed or skipped:
        log.info("users_normalised", changed=changed, skipped=skipped)


def _set_email(connection: sa.Connection, user_id: int, old: str, new: str) -> bool:
    try:
        done = connection.execute(SET_EMAIL, {"id": user_id, "old": old, "new": new})
    except (sa.exc.IntegrityError, sa.exc.DataError):  # taken at this moment, or too long
        return False
    return done.rowcount > 0


def _name(full_name: str | None) -> str | None:
    """As it is where it would be refused today, or would not fit."""
    if full_name is None:
        return None
    try:
        name = normalise_name(full_name)
    except ValueError:
        return full_name
    return name if 0 < len(name) <= 200 else full_name


def downgrade() -> None:
    replace_index("uq_users_username_lower", "ON users (lower(username))", unique=True)
