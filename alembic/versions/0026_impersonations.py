"""sessions: columns of impersonations

Revision: 0026, after 0025
"""

import sqlalchemy as sa

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("impersonator_id", sa.BigInteger()))
    op.add_column("sessions", sa.Column("impersonator_session_id", sa.Uuid()))
    op.add_column("sessions", sa.Column("impersonation_reason", sa.String(200)))


def downgrade() -> None:
    """Impersonations are deleted: an older release would take them for sessions of the users."""
    op.execute("DELETE FROM sessions WHERE impersonator_id IS NOT NULL")
    op.drop_column("sessions", "impersonation_reason")
    op.drop_column("sessions", "impersonator_session_id")
    op.drop_column("sessions", "impersonator_id")
