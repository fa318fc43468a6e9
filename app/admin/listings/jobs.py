"""Query parameters of the jobs table, and URLs that contain them."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from app.admin.rendering import BASE
from app.schemas.job_list import JobFilters

JOBS_PATH = f"{BASE}/jobs"


class JobListing(JobFilters):
    """State, kind and page of the jobs table."""

    @property
    def query(self) -> str:
        """The query string; empty where everything is as by default."""
        return urlencode(self.model_dump(exclude_defaults=True))

    @property
    def url(self) -> str:
        return f"{JOBS_PATH}?{self.query}" if self.query else JOBS_PATH

    @property
    def is_over(self) -> bool:
        """Whether nothing can be done to these jobs any more."""
        return self.state in {"done", "cancelled"}

    def at(self, page: int) -> "JobListing":
        return self.model_copy(update={"page": page})


JobListingQuery = Annotated[JobListing, Query()]
