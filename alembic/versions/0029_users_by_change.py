"""users: an index for the order by the last change; saved views with a hundred ids

Every change of a user sets `updated_at`, so that none is a HOT update any more. Before, those of
the password, of second factors and of the verification of an email were: a few in the life of an
account. Changes of other fields change an index anyway, and nothing writes users periodically.

Revision: 0029, after 0028
"""

import sqlalchemy as sa

from alembic import op
from app.database.migrations import create_index, drop_index

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("saved_views", "query", type_=sa.String(8000))  # no row is read
    create_index("ix_users_updated_at", "ON users (updated_at, id)")


def downgrade() -> None:
    """Views that are too long are lost."""
    drop_index("ix_users_updated_at")
    op.execute("DELETE FROM saved_views WHERE length(query) > 5000")
    op.alter_column("saved_views", "query", type_=sa.String(5000))
