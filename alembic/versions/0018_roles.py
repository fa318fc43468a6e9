"""roles: named sets of permissions, and the users who have them

Revision: 0018, after 0017
"""

import sqlalchemy as sa

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def _moment(name: str) -> sa.Column[object]:
    moment = sa.DateTime(timezone=True)
    return sa.Column(name, moment, server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    roles = op.create_table(
        "roles",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("description", sa.String(200), server_default="", nullable=False),
        sa.Column("permissions", sa.ARRAY(sa.Text()), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
        sa.UniqueConstraint("name", name="uq_roles_name"),
    )
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "role_id", name="pk_user_roles"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_user_roles_user_id_users", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name="fk_user_roles_role_id_roles", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_user_roles_role_id", "user_roles", ["role_id", "user_id"])
    # To begin with; both can be changed and deleted.
    op.bulk_insert(
        roles,
        [
            {
                "name": "support",
                "description": "Reads users, reads and ends their sessions",
                "permissions": ["users:read", "sessions:read", "sessions:end"],
            },
            {
                "name": "auditor",
                "description": "Reads users and the audit trail",
                "permissions": ["users:read", "audit:read"],
            },
        ],
    )


def downgrade() -> None:
    """Nobody has a role any more: their permissions end."""
    op.drop_table("user_roles")
    op.drop_table("roles")
