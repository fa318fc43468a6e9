"""user_counts: numbers of users with a second factor.

Revision: 0021, after 0020
"""

from alembic import op
from app.database.user_counts import count_users_by

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BEFORE = {"is_active": "is_active", "is_superuser": "is_superuser"}


def upgrade() -> None:
    count_users_by({**BEFORE, "has_mfa": "has_mfa"})


def downgrade() -> None:
    op.execute("DROP VIEW user_count_errors")
    op.drop_column("user_counts", "has_mfa")
    count_users_by(BEFORE)
