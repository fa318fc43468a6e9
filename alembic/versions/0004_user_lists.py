"""For lists of users at a million: orders without ties, states in order, and search.

Revision: 0004, after 0003
"""

from alembic import op
from app.database.extensions import create_extension, drop_extension
from app.database.migrations import create_index, drop_index, replace_index

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMES = r"(username || E'\n' || email || E'\n' || coalesce(full_name, ''))"


def upgrade() -> None:
    replace_index("ix_users_created_at", "ON users (created_at, id)")
    create_index("ix_users_is_active_created_at", "ON users (is_active, created_at, id)")
    if create_extension("pg_trgm"):
        create_index("ix_users_search", f"ON users USING gin ({NAMES} gin_trgm_ops)")
        # Whether to read the index or the order is decided by how many are likely to match:
        # a hundred samples of a name cannot tell one in a hundred from none.
        op.execute("ALTER INDEX ix_users_search ALTER COLUMN 1 SET STATISTICS 1000")
        op.execute("ANALYZE users")


def downgrade() -> None:
    drop_index("ix_users_search")
    drop_extension("pg_trgm")
    drop_index("ix_users_is_active_created_at")
    replace_index("ix_users_created_at", "ON users (created_at)")
