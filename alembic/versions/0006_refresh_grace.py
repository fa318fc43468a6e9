"""For refresh tokens that are repeated: which one was used last, when, and how often that was.

Revision: 0006, after 0005
"""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a rewrite of the table: two may be null, and the third has a constant default.
    op.add_column("sessions", sa.Column("previous_hash", sa.LargeBinary(32)))
    op.add_column("sessions", sa.Column("rotated_at", sa.DateTime(timezone=True)))
    op.add_column(
        "sessions",
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("sessions", "generation")
    op.drop_column("sessions", "rotated_at")
    op.drop_column("sessions", "previous_hash")
