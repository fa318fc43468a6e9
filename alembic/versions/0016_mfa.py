"""mfa: second factors of users, and how sessions were begun.

Revision: 0016, after 0013
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from alembic import op

revision = "0016"
down_revision = "0013"
branch_labels = None
depends_on = None


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True))


def _user_id(table: str, *, is_key: bool = False) -> list[Any]:
    return [
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
        ),
        *([sa.PrimaryKeyConstraint("user_id", name=f"pk_{table}")] if is_key else []),
    ]


def upgrade() -> None:
    # Without a rewrite of the tables: null, or a constant default.
    op.add_column(
        "users",
        sa.Column("has_mfa", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("sessions", _moment("confirmed_at"))
    op.add_column(
        "sessions",
        sa.Column("amr", ARRAY(sa.String(16)), server_default=sa.text("'{pwd}'"), nullable=False),
    )
    op.create_table(
        "totp",
        *_user_id("totp", is_key=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        _moment("confirmed_at"),
    )
    op.create_table(
        "recovery_codes",
        *_user_id("recovery_codes"),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        _moment("used_at"),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name="pk_recovery_codes"),
    )
    op.create_table(
        "spent_challenges",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_spent_challenges"),
    )


def downgrade() -> None:
    """All second factors are lost: users log in by password alone."""
    op.drop_table("spent_challenges")
    op.drop_table("recovery_codes")
    op.drop_table("totp")
    op.drop_column("sessions", "amr")
    op.drop_column("sessions", "confirmed_at")
    op.drop_column("users", "has_mfa")
