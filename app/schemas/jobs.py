"""Payloads of the jobs that delete old sessions, responses and histories of jobs."""

from app.core.jobs import JobPayload


class PurgeSessions(JobPayload):
    """Delete sessions that ended a week ago or earlier."""

    kind = "purge-sessions"


class PurgeIdempotentResponses(JobPayload):
    """Delete the stored responses of idempotent requests after a day."""

    kind = "purge-answers"


class PurgeJobs(JobPayload):
    """Delete the history of jobs that ended before `JOBS_RETENTION`, and keep their number."""

    kind = "purge-jobs"
