"""Payloads of the jobs that delete old sessions, responses and histories of jobs."""

from app.core.jobs import JobPayload


class PurgeSessions(JobPayload):
    """Delete sessions that ended a week ago or earlier."""

    kind = "purge-sessions"


class PurgeIdempotentResponses(JobPayload):
    """Delete the stored responses of idempotent requests after a day."""

    kind = "purge-answers"


class CompactUserCounts(JobPayload):
    """Sum up the counters of users that were added since the last time."""

    kind = "compact-user-counts"


class RecountUsers(JobPayload):
    """Correct the counters of users by a full count."""

    kind = "recount-users"


class RotateAudit(JobPayload):
    """Make partitions for audit events, and drop those older than `AUDIT_RETENTION`."""

    kind = "rotate-audit"


class PurgeApiKeys(JobPayload):
    """Delete API keys that expired 30 days ago or earlier."""

    kind = "purge-api-keys"


class PurgeJobs(JobPayload):
    """Delete the history of jobs that ended before `JOBS_RETENTION`, and keep their number."""

    kind = "purge-jobs"
