"""add_user_indexes: for the filters by state and the order by age.

Revision: 0002, after 0001
"""

from app.database.migrations import create_index, drop_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("ix_users_is_active", "ON users (is_active)")
    create_index("ix_users_is_superuser", "ON users (is_superuser)")
    create_index("ix_users_created_at", "ON users (created_at)")


def downgrade() -> None:
    drop_index("ix_users_created_at")
    drop_index("ix_users_is_superuser")
    drop_index("ix_users_is_active")
