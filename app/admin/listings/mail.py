"""`MailListing`: query parameters of the mails table."""

from typing import Annotated, ClassVar

from fastapi import Query

from app.admin.listings.base import Listing
from app.admin.rendering import BASE
from app.core.pagination import PageParams
from app.schemas.background.mail import MailState

MAIL_PATH = f"{BASE}/mail"


class MailListing(Listing):
    """State and page of the mails table."""

    path: ClassVar[str] = MAIL_PATH
    state: MailState | None = None

    @property
    def params(self) -> PageParams:
        return PageParams(page=self.page, size=self.rows)


MailListingQuery = Annotated[MailListing, Query()]
