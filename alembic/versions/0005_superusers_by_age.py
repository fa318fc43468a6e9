"""For the list of superusers at a million: it begins at the newest, whatever their number.

Revision: 0005, after 0004
"""

from app.database.migrations import create_index, drop_index

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("ix_users_superusers_created_at", "ON users (created_at, id) WHERE is_superuser")


def downgrade() -> None:
    drop_index("ix_users_superusers_created_at")
