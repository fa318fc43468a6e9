"""user_counts: numbers of users with a verified email.

Revision: 0025, after 0024
"""

from alembic import op
from app.database.user_counts import count_users_by

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

BEFORE = {"is_active": "is_active", "is_superuser": "is_superuser", "has_mfa": "has_mfa"}


def upgrade() -> None:
    count_users_by({**BEFORE, "email_verified": "email_verified_at IS NOT NULL"})


def downgrade() -> None:
    op.execute("DROP VIEW user_count_errors")
    op.drop_column("user_counts", "email_verified")
    count_users_by(BEFORE)
