"""`InvitationListing`: query parameters of the table of invitations."""

from typing import Annotated, ClassVar

from fastapi import Query
from pydantic import BaseModel

from app.admin.listings.base import Listing
from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.invitation import InvitationState

INVITATIONS_PATH = f"{BASE}/invitations"


class InvitationFilters(BaseModel):
    """The filter of the table."""

    state: InvitationState | None = None


class InvitationListing(InvitationFilters, Listing):
    """State and page of the table."""

    path: ClassVar[str] = INVITATIONS_PATH

    @property
    def filters(self) -> InvitationFilters:
        return InvitationFilters(state=self.state)

    @property
    def params(self) -> PageParams:
        return PageParams(page=self.page, size=self.rows)


InvitationListingQuery = Annotated[InvitationListing, Query()]
