"""account_deletions: accounts that their users have deleted, until the grace period ends

Revision: 0024, after 0023
"""

import sqlalchemy as sa

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("now()")
    op.create_table(
        "account_deletions",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("delete_after", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_account_deletions"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_account_deletions_user_id_users",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_account_deletions_delete_after", "account_deletions", ["delete_after"])


def downgrade() -> None:
    """Accounts that wait for their deletion stay inactive."""
    op.drop_table("account_deletions")
