"""invitations: by mail, with the roles that the new account gets

Revision: 0020, after 0019
"""

from typing import Any

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_LIVE = "used_at IS NULL AND voided_at IS NULL AND purpose"


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("full_name", sa.String(200)),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("invited_by", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("is_mailed", sa.Boolean(), nullable=False),
        _moment("created_at", server_default=sa.text("now()"), nullable=False),
        _moment("sent_at", server_default=sa.text("now()"), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("accepted_at"),
        _moment("revoked_at"),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("token_id", name="uq_invitations_token_id"),
        _reference("invitations", "invited_by", "users", "CASCADE"),
        _reference("invitations", "user_id", "users", "SET NULL"),
    )
    op.create_table(
        "invitation_roles",
        sa.Column("invitation_id", sa.BigInteger(), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("invitation_id", "role_id", name="pk_invitation_roles"),
        _reference("invitation_roles", "invitation_id", "invitations", "CASCADE"),
        _reference("invitation_roles", "role_id", "roles", "CASCADE"),
    )
    op.create_index("ix_invitation_roles_role_id", "invitation_roles", ["role_id"])
    for columns in (["invited_by"], ["user_id"], ["expires_at"], ["created_at", "id"]):
        op.create_index(f"ix_invitations_{columns[0]}", "invitations", columns)
    op.create_index(
        "uq_invitations_open",
        "invitations",
        ["email"],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
    )
    # A user may have sent several invitations.
    _replace_live("NOT IN ('email-change-undo', 'invitation')")


def downgrade() -> None:
    """Invitations that were not accepted are void."""
    op.execute("DELETE FROM one_time_tokens WHERE purpose = 'invitation'")
    _replace_live("<> 'email-change-undo'")
    op.drop_table("invitation_roles")
    op.drop_table("invitations")


def _replace_live(purposes: str) -> None:
    """The table has the links of a week: the index is made at once."""
    op.drop_index("uq_one_time_tokens_live", table_name="one_time_tokens")
    op.create_index(
        "uq_one_time_tokens_live",
        "one_time_tokens",
        ["user_id", "purpose"],
        unique=True,
        postgresql_where=sa.text(f"{_LIVE} {purposes}"),
    )


def _moment(name: str, **options: Any) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _reference(table: str, column: str, other: str, ondelete: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=ondelete)
