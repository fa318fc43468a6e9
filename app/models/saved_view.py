"""Lists that users have saved under a name."""

from sqlalchemy import BigInteger, ForeignKey, Identity, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class SavedView(Base):
    """Filters and order of a list of the admin pages, by the name that a user gave them. `query` is
    the query string of the list's URL, without the page: 4,300 characters at most."""

    __tablename__ = "saved_views"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"))
    list_name: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(60))
    query: Mapped[str] = mapped_column(String(8000))

    __table_args__ = (UniqueConstraint("user_id", "list_name", "name", name="uq_saved_views_name"),)
