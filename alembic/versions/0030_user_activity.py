"""user_activity: the day on which each user was seen last

It begins with the last use of the sessions and API keys that are stored; impersonations do not
count. Users are locked meanwhile, so that none is deleted: deletions and changes of emails wait for
the one statement. Processes of the release before record no day: a user whom they serve after the
statement gets the day with the first use of a session or key on a later day, or with a login.

Revision: 0030, after 0029
"""

import sqlalchemy as sa

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

SEED = """
    INSERT INTO user_activity (user_id, seen_on)
    SELECT users.id, seen.seen_on FROM users JOIN (
        SELECT user_id, CAST(max(moment) AT TIME ZONE 'UTC' AS date) AS seen_on FROM (
            SELECT user_id, last_seen_at AS moment FROM sessions WHERE impersonator_id IS NULL
            UNION ALL
            SELECT user_id, last_used_at FROM api_keys WHERE last_used_at IS NOT NULL
        ) AS uses GROUP BY user_id
    ) AS seen ON seen.user_id = users.id
    FOR KEY SHARE OF users
    ON CONFLICT (user_id) DO NOTHING
"""


def upgrade() -> None:
    op.create_table(
        "user_activity",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_activity"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_user_activity_user_id_users", ondelete="CASCADE"
        ),
        if_not_exists=True,  # an interrupted attempt has made it
    )
    # After the table's transaction, which locks users against writes.
    with op.get_context().autocommit_block():
        op.execute(SEED)
    op.create_index(
        "ix_user_activity_seen_on", "user_activity", ["seen_on", "user_id"], if_not_exists=True
    )


def downgrade() -> None:
    """The days are lost."""
    op.drop_table("user_activity")
