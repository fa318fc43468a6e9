"""bulk_actions: actions on many users that run as background jobs

Revision: 0031, after 0030
"""

import sqlalchemy as sa

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bulk_actions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("undo_of", sa.Uuid()),
        sa.Column("run", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.String(2000)),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_actions"),
    )
    op.create_index("ix_bulk_actions_created_at", "bulk_actions", ["created_at"])
    op.create_index(
        "uq_bulk_actions_open",
        "bulk_actions",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "bulk_action_users",
        sa.Column("bulk_action_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True)),
        sa.Column("refusal", sa.String(300)),
        sa.PrimaryKeyConstraint("bulk_action_id", "user_id", name="pk_bulk_action_users"),
        sa.ForeignKeyConstraint(
            ["bulk_action_id"],
            ["bulk_actions.id"],
            name="fk_bulk_action_users_bulk_action_id_bulk_actions",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_bulk_action_users_user_id", "bulk_action_users", ["user_id"])


def downgrade() -> None:
    """Actions that have not ended stop where they are, and none can be undone any more."""
    op.drop_table("bulk_action_users")
    op.drop_table("bulk_actions")
