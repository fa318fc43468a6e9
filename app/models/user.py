"""User accounts."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Identity,
    Index,
    String,
    collate,
    func,
    literal,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import Base, Timestamped

if TYPE_CHECKING:
    from app.models.role import Role
    from app.models.user_activity import UserActivity


class User(Timestamped, Base):
    """An account. `email` is stored as `normalise_email` returns it; `username` keeps its case and
    is unique without it. `has_mfa`: a login takes more than the password."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    username: Mapped[str] = mapped_column(String(32))
    full_name: Mapped[str | None] = mapped_column(String(200))
    hashed_password: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    has_mfa: Mapped[bool] = mapped_column(server_default=text("false"))
    email_verified_at: Mapped[datetime | None]

    roles: Mapped[list["Role"]] = relationship(secondary="user_roles", viewonly=True, lazy="raise")
    activity: Mapped["UserActivity | None"] = relationship(viewonly=True, lazy="raise")

    __table_args__ = (
        Index("uq_users_username_lower", text('lower(username COLLATE "C")'), unique=True),
        Index("ix_users_created_at", "created_at", "id"),
        Index("ix_users_updated_at", "updated_at", "id"),
        Index("ix_users_is_active_created_at", "is_active", "created_at", "id"),
        Index(
            "ix_users_superusers_created_at",
            "created_at",
            "id",
            postgresql_where=text("is_superuser"),
        ),
    )


def username_key_of(username: ColumnElement[str] | Any) -> ColumnElement[str]:
    """The SQL expression by which usernames are compared and sorted: lower case, collation "C".

    Use it on both sides of a comparison. Other collations may have rules of their own for case: in
    Turkish, `IVAN` and `ivan` are two names.
    """
    return func.lower(collate(username, "C"))


def _constant(value: str) -> ColumnElement[str]:
    """A literal in the SQL text, not a parameter, so that the expression matches the index."""
    return literal(value, String, literal_execute=True)


SEARCHED_TEXT = (
    User.username
    + _constant("\n")
    + User.email
    + _constant("\n")
    + func.coalesce(User.full_name, _constant(""))
)
"""The searched text of a user: one expression for one index, `ix_users_search`. Only the migrations
define that index, since it is left out where PostgreSQL has no pg_trgm. Neither names nor searches
contain a line break, so that no match spans two fields."""
