"""`JobListing`: query parameters of the jobs table."""

from typing import Annotated, ClassVar

from fastapi import Query

from app.admin.listings.base import Listing
from app.admin.rendering import BASE
from app.schemas.background.job_list import JobFilters

JOBS_PATH = f"{BASE}/jobs"


class JobListing(JobFilters, Listing):
    """State, kind and page of the jobs table."""

    path: ClassVar[str] = JOBS_PATH

    @property
    def is_over(self) -> bool:
        """Whether nothing can be done to these jobs any more."""
        return self.state in {"done", "cancelled"}


JobListingQuery = Annotated[JobListing, Query()]
