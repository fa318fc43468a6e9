"""Invitations by mail to make an account."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, String, Table, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import Base
from app.models.role import Role

_ROLES = Table(
    "invitation_roles",
    Base.metadata,
    Column(
        "invitation_id",
        BigInteger,
        ForeignKey("invitations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("role_id", BigInteger, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_invitation_roles_role_id", "role_id"),
)


class Invitation(Base):
    """An invitation. It belongs to the user who sent it last, and is deleted with them.

    `token_id` is the one-time token of its newest link; older links are void. `is_mailed` tells
    whether the link went to the address, and not to the inviter. `user_id` is the new account.
    """

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    full_name: Mapped[str | None] = mapped_column(String(200))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    invited_by: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    token_id: Mapped[UUID] = mapped_column(unique=True)
    is_mailed: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    granted: Mapped[list[Role]] = relationship(
        secondary=_ROLES, lazy="selectin", order_by=Role.name, passive_deletes=True
    )

    __table_args__ = (
        Index(
            "uq_invitations_open",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
        Index("ix_invitations_created_at", "created_at", "id"),
        Index("ix_invitations_expires_at", "expires_at"),
    )

    @property
    def roles(self) -> list[str]:
        return [role.name for role in self.granted]

    @property
    def is_open(self) -> bool:
        """Whether it is neither accepted nor revoked. It may have expired."""
        return self.accepted_at is None and self.revoked_at is None

    @property
    def state(self) -> Literal["pending", "accepted", "revoked", "expired"]:
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "pending" if self.expires_at > datetime.now(UTC) else "expired"
