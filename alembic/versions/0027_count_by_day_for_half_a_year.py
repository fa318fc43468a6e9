"""user_counts: numbers of users by day of creation for half a year instead of two months.

Revision: 0027, after 0026
"""

from app.database.user_counts import count_users_by

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    count_users_by(
        {
            "is_active": "is_active",
            "is_superuser": "is_superuser",
            "has_mfa": "has_mfa",
            "email_verified": "email_verified_at IS NOT NULL",
        }
    )


def downgrade() -> None:
    """Nothing to undo: earlier releases add up smaller buckets too."""
