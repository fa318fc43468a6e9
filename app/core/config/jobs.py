"""Settings of background jobs."""

from pathlib import Path

from pydantic import Field

from app.core.config.sections import Section, section
from app.core.config.types import Seconds


class JobsSettings(Section):
    model_config = section("JOBS_")

    in_process: bool | None = Field(
        None, description="true: web processes run jobs too (default: only in development)"
    )
    concurrency: int = Field(20, ge=2, le=1000, description="jobs at once, per process")
    poll: Seconds = Field(
        2.0, description="seconds between polls of the queue, if no notification arrives"
    )
    lost_after: float = Field(
        30.0,
        ge=1,
        le=3600,
        description="seconds without a sign of life until a running job is run again",
    )
    drain: float = Field(
        20.0,
        ge=0,
        le=3600,
        description="seconds that running jobs may take after SIGTERM, then they are queued again",
    )
    health_folder: Path | None = Field(
        None,
        description="folder in which `backend worker` touches the files live and ready every 2 s "
        "(default: none)",
    )
    retention: Seconds = Field(604_800, description="seconds to keep the history of ended jobs")
