"""`OverviewQuery`: query parameters of the overview."""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Self

from fastapi import Query

from app.admin.listings.base import Filtered
from app.admin.listings.users import UserListing
from app.admin.rendering import BASE
from app.schemas.monitoring.user_statistics import Period


class OverviewView(Filtered):
    """The period of the figures that have one."""

    path: ClassVar[str] = BASE
    period: Period = Period.MONTH

    @property
    def periods(self) -> list[Self]:
        """The same view with each period."""
        return [self.model_copy(update={"period": period}) for period in Period]

    def users_url(self, moment: datetime) -> str:
        """URL of the users who were created in the hour or on the day that begins then."""
        end = moment + timedelta(**{f"{self.period.unit}s": 1})
        return UserListing(created_from=moment, created_to=end).url

    @property
    def live_url(self) -> str:
        """URL of the part that is refreshed."""
        return f"{BASE}/live?{self.query}" if self.query else f"{BASE}/live"


OverviewQuery = Annotated[OverviewView, Query()]
