"""Routes of the job pages: table by state, detail, and retry or cancel."""

from typing import Annotated, Literal, NamedTuple

from fastapi import Form, Path, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from app.admin.deps.pages import JobsPage
from app.admin.deps.services import Jobs
from app.admin.listings.jobs import JOBS_PATH, JobListingQuery
from app.admin.login_page import safe_view
from app.admin.page import Notice
from app.admin.rendering import BASE
from app.api.routing import Router
from app.schemas.base import MAX_BIGINT, Text

router = Router(prefix=JOBS_PATH, include_in_schema=False)

Id = Annotated[int, Field(ge=1, le=MAX_BIGINT)]
Back = Annotated[Text, AfterValidator(safe_view)]
JobId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]


class JobSelection(BaseModel):
    """An action, the jobs it is for, and the URL to return to."""

    action: Literal["retry", "cancel"]
    id: list[Id] = Field([], max_length=100)
    back: Back = JOBS_PATH

    @property
    def path(self) -> str:
        """`back` for `AdminPage.redirect`."""
        return self.back.removeprefix(BASE)


class JobActionTexts(NamedTuple):
    """The words for an action: before it, after it, and what it has as a consequence."""

    verb: str
    done_one: str
    done: str
    consequence: str
    is_destructive: bool


TEXTS = {
    "retry": JobActionTexts(
        "Retry",
        "Retried 1 job",
        "Retried %(count)s jobs",
        "Jobs that failed or are delayed run at once, with all their attempts. Others stay as "
        "they are.",
        is_destructive=False,
    ),
    "cancel": JobActionTexts(
        "Cancel",
        "Cancelled 1 job",
        "Cancelled %(count)s jobs",
        "They are not run, and those that run are interrupted. What they have done already stays "
        "done. This cannot be undone.",
        is_destructive=True,
    ),
}


@router.get("", name="dashboard_jobs")
async def jobs_table(page: JobsPage, listing: JobListingQuery, jobs: Jobs) -> Response:
    """The table of jobs: one page of those in a state."""
    found = await jobs.page(listing, listing.rows)
    return page.render("jobs/table.html", listing=listing, found=found)


@router.get("/confirm", name="dashboard_confirm_job_change")
async def confirm(
    page: JobsPage, selection: Annotated[JobSelection, Query()], jobs: Jobs
) -> Response:
    """Ask for confirmation before an action on the selected jobs."""
    selected = await jobs.existing(selection.id)
    if not selected:
        return page.redirect(selection.path, Notice("No job is selected that is not over", "error"))
    texts = TEXTS[selection.action]
    return page.render("jobs/confirm.html", selection=selection, jobs=selected, texts=texts)


@router.post("/confirm", name="dashboard_change_jobs")
async def apply(page: JobsPage, selection: Annotated[JobSelection, Form()], jobs: Jobs) -> Response:
    """Apply the action to the selected jobs."""
    change = jobs.retry if selection.action == "retry" else jobs.cancel
    count = len(await change(selection.id))
    text = TEXTS[selection.action].done % {"count": count}
    if count == 1:
        text = TEXTS[selection.action].done_one
    return page.redirect(selection.path, Notice(text))


@router.get("/{job_id}", name="dashboard_job")
async def job_view(
    page: JobsPage, job_id: JobId, jobs: Jobs, back: Annotated[Back, Query()] = JOBS_PATH
) -> Response:
    """A job and its history."""
    return page.render("jobs/job.html", job=await jobs.get(job_id), back=back)
