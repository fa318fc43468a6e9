"""Dependencies on services that only the admin pages use."""

from typing import Annotated

from fastapi import Depends, Request

from app.admin.services.overview import OverviewService
from app.admin.services.overview_feed import OverviewFeed
from app.admin.services.users import AdminUserService
from app.api.deps.services import DbSession, Mfa, Sessions, Users, resource
from app.api.runtime import runtime_of
from app.services.audit_log.service import AuditService
from app.services.jobs import JobService
from app.services.mail.caught import CaughtMails
from app.services.mail.mailer import Mailer
from app.services.mail.service import MailService
from app.services.monitoring.recent_requests import RecentRequests
from app.services.transfers.service import TransferService
from app.services.user.saved_views import SavedViewService
from app.services.user.upload import UserUpload


async def get_admin_user_service(users: Users, sessions: Sessions, mfa: Mfa) -> AdminUserService:
    return AdminUserService(users, sessions, mfa)


async def get_overview_service(request: Request) -> OverviewService:
    """One for the whole process: it stores the last figures."""
    state, parts = request.app.state, runtime_of(request)
    if not hasattr(state, "overview"):
        state.overview = OverviewService(
            parts.user_statistics,
            parts.health,
            parts.metrics,
            parts.operations,
            parts.settings.database,
        )
    overview: OverviewService = state.overview
    return overview


Overviews = Annotated[OverviewService, Depends(get_overview_service)]


async def get_overview_feed(request: Request, overviews: Overviews) -> OverviewFeed:
    """One for the whole process: it reads for all streams."""
    state = request.app.state
    if not hasattr(state, "overview_feed"):
        state.overview_feed = OverviewFeed(overviews, runtime_of(request).drain)
    feed: OverviewFeed = state.overview_feed
    return feed


async def get_user_upload(request: Request, users: Users) -> UserUpload:
    return UserUpload(users, runtime_of(request).settings.users.bulk_max)


async def get_job_service(request: Request, db: DbSession) -> JobService:
    return runtime_of(request).job_service(db)


async def get_saved_view_service(request: Request, db: DbSession) -> SavedViewService:
    return runtime_of(request).saved_view_service(db, "users")


async def get_transfer_service(request: Request, db: DbSession) -> TransferService:
    return runtime_of(request).transfer_service(db)


async def get_mail_service(request: Request, db: DbSession) -> MailService:
    return runtime_of(request).mail_service(db)


async def get_recent_requests(request: Request) -> RecentRequests:
    return runtime_of(request).recent_requests


async def get_caught_mails(request: Request) -> CaughtMails:
    return runtime_of(request).caught_mails


async def get_mailer(request: Request) -> Mailer:
    return runtime_of(request).mailer


Audit = Annotated[AuditService, resource(AuditService)]
AdminUsers = Annotated[AdminUserService, Depends(get_admin_user_service)]
Feed = Annotated[OverviewFeed, Depends(get_overview_feed)]
Jobs = Annotated[JobService, Depends(get_job_service)]
SavedViews = Annotated[SavedViewService, Depends(get_saved_view_service)]
Transfers = Annotated[TransferService, Depends(get_transfer_service)]
Mails = Annotated[MailService, Depends(get_mail_service)]
Caught = Annotated[CaughtMails, Depends(get_caught_mails)]
Recent = Annotated[RecentRequests, Depends(get_recent_requests)]
MailerDep = Annotated[Mailer, Depends(get_mailer)]
Uploads = Annotated[UserUpload, Depends(get_user_upload)]
