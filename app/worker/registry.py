"""Registry of background jobs: each kind with its handler, timeout and schedule."""

from typing import Any

from app.runtime import Runtime
from app.schemas.account import DeleteAccounts, PurgeTokens
from app.schemas.background.bulk_action import ApplyBulkAction, PurgeBulkActions
from app.schemas.background.jobs import (
    CompactUserCounts,
    PurgeApiKeys,
    PurgeIdempotentResponses,
    PurgeJobs,
    PurgeSessions,
    RecountUsers,
    RotateAudit,
)
from app.schemas.background.mail import PurgeMails, SendMail
from app.schemas.background.transfer import ExportUsers, ImportUsers, PurgeTransfers
from app.schemas.invitation import PurgeInvitations
from app.services.audit_log.service import AuditService
from app.services.idempotency import IdempotencyService
from app.services.mail.service import ATTEMPTS as MAIL_ATTEMPTS
from app.services.user.counts import UserCountService
from app.worker.job import Job

PURGE_TIMEOUT = 300.0
"""Seconds. What is deleted until then stays deleted; the next attempt deletes the rest."""

RECOUNT_TIMEOUT = 900.0
"""Seconds; its statement has ten minutes."""

TRANSFER_TIMEOUT = 1800.0
"""Seconds. An import of 10,000 users (the most that USERS_BULK_MAX can be) takes six minutes on one
core, and an export may take fifteen."""


BULK_ACTION_TIMEOUT = 7200.0
"""Seconds. An action on 100,000 users, the most of one, takes up to an hour, 10 to 30 ms for each;
a further attempt goes on where the one before it ended."""


async def purge_sessions(runtime: Runtime, _: PurgeSessions) -> None:
    async with runtime.session_maker() as db:
        await runtime.session_service(db).purge()


async def purge_idempotent_responses(runtime: Runtime, _: PurgeIdempotentResponses) -> None:
    async with runtime.session_maker() as db:
        await IdempotencyService(db).purge()


async def purge_jobs(runtime: Runtime, _: PurgeJobs) -> None:
    async with runtime.session_maker() as db:
        await runtime.job_service(db).purge(runtime.settings.jobs.retention)


async def purge_api_keys(runtime: Runtime, _: PurgeApiKeys) -> None:
    async with runtime.session_maker() as db:
        await runtime.api_key_service(db).purge()


async def compact_user_counts(runtime: Runtime, _: CompactUserCounts) -> None:
    async with runtime.session_maker() as db:
        await UserCountService(db).compact()


async def recount_users(runtime: Runtime, _: RecountUsers) -> None:
    async with runtime.session_maker() as db:
        await UserCountService(db).recount()


async def rotate_audit(runtime: Runtime, _: RotateAudit) -> None:
    async with runtime.session_maker() as db:
        audit = runtime.resource_service(AuditService, db)
        await audit.rotate(runtime.settings.audit.retention)


async def send_mail(runtime: Runtime, mail: SendMail) -> None:
    async with runtime.session_maker() as db:
        await runtime.mail_service(db).deliver(mail)


async def purge_mails(runtime: Runtime, _: PurgeMails) -> None:
    async with runtime.session_maker() as db:
        await runtime.mail_service(db).purge()


async def purge_tokens(runtime: Runtime, _: PurgeTokens) -> None:
    async with runtime.session_maker() as db:
        await runtime.one_time_tokens(db).purge()


async def delete_accounts(runtime: Runtime, _: DeleteAccounts) -> None:
    async with runtime.session_maker() as db:
        await runtime.account_deletion_service(db).delete_due()


async def purge_invitations(runtime: Runtime, _: PurgeInvitations) -> None:
    async with runtime.session_maker() as db:
        await runtime.invitation_service(db).purge()


async def import_users(runtime: Runtime, job: ImportUsers) -> None:
    async with runtime.session_maker() as db:
        await runtime.user_import_run(db).run(job.transfer_id)


async def export_users(runtime: Runtime, job: ExportUsers) -> None:
    async with runtime.session_maker() as db:
        await runtime.user_export_run(db).run(job.transfer_id)


async def purge_transfers(runtime: Runtime, _: PurgeTransfers) -> None:
    async with runtime.session_maker() as db:
        await runtime.transfer_service(db).purge()


async def apply_bulk_action(runtime: Runtime, job: ApplyBulkAction) -> None:
    async with runtime.session_maker() as db:
        await runtime.bulk_action_run(db).run(job.bulk_action_id)


async def purge_bulk_actions(runtime: Runtime, _: PurgeBulkActions) -> None:
    async with runtime.session_maker() as db:
        await runtime.bulk_action_service(db).purge()


JOBS: tuple[Job[Any], ...] = (
    # At odd minutes, at which nothing else on the machine begins.
    Job(PurgeSessions, purge_sessions, concurrency=1, timeout=PURGE_TIMEOUT, cron="7 * * * *"),
    Job(
        PurgeIdempotentResponses,
        purge_idempotent_responses,
        concurrency=1,
        timeout=PURGE_TIMEOUT,
        cron="17 * * * *",
    ),
    Job(PurgeJobs, purge_jobs, concurrency=1, timeout=PURGE_TIMEOUT, cron="27 * * * *"),
    Job(RotateAudit, rotate_audit, concurrency=1, timeout=PURGE_TIMEOUT, cron="57 2 * * *"),
    Job(PurgeMails, purge_mails, concurrency=1, timeout=PURGE_TIMEOUT, cron="37 * * * *"),
    Job(CompactUserCounts, compact_user_counts, concurrency=1, cron="*/5 * * * *"),
    Job(RecountUsers, recount_users, concurrency=1, timeout=RECOUNT_TIMEOUT, cron="57 3 * * *"),
    # The service counts attempts too; those of workers that died come on top. Few connections at
    # once, since providers limit them; longer than MAIL_TIMEOUT can be.
    Job(
        SendMail,
        send_mail,
        concurrency=5,
        attempts=MAIL_ATTEMPTS + 6,
        first_delay=10.0,
        timeout=900.0,
    ),
    Job(DeleteAccounts, delete_accounts, concurrency=1, timeout=PURGE_TIMEOUT, cron="23 * * * *"),
    Job(
        PurgeInvitations,
        purge_invitations,
        concurrency=1,
        timeout=PURGE_TIMEOUT,
        cron="13 * * * *",
    ),
    # One import at a time: each keeps all cores busy. No export runs out of connections.
    Job(ImportUsers, import_users, concurrency=1, attempts=4, timeout=TRANSFER_TIMEOUT),
    Job(ExportUsers, export_users, concurrency=1, attempts=4, timeout=TRANSFER_TIMEOUT),
    Job(PurgeTransfers, purge_transfers, concurrency=1, timeout=PURGE_TIMEOUT, cron="47 * * * *"),
    # Each admin has one at a time; two at once leave connections to requests.
    Job(ApplyBulkAction, apply_bulk_action, concurrency=2, timeout=BULK_ACTION_TIMEOUT),
    Job(
        PurgeBulkActions,
        purge_bulk_actions,
        concurrency=1,
        timeout=PURGE_TIMEOUT,
        cron="33 * * * *",
    ),
    Job(PurgeApiKeys, purge_api_keys, concurrency=1, timeout=PURGE_TIMEOUT, cron="43 4 * * *"),
    Job(PurgeTokens, purge_tokens, concurrency=1, timeout=PURGE_TIMEOUT, cron="57 * * * *"),
)
