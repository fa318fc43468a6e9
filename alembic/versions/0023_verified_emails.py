"""users.email_verified_at.

Revision: 0023, after 0022
"""

import sqlalchemy as sa

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Users have to verify their emails again."""
    op.drop_column("users", "email_verified_at")
