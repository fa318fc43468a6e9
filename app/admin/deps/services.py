"""Dependencies on services that only the admin pages use."""

from collections.abc import Callable
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Request

from app.admin.services.overview import OverviewService
from app.admin.services.overview_feed import OverviewFeed
from app.admin.services.users import AdminUserService
from app.api.deps.services import DbSession, Mfa, Sessions, Users, resource
from app.api.runtime import runtime_of
from app.services.audit_log.service import AuditService
from app.services.bulk_actions.actions import UserActions
from app.services.bulk_actions.service import BulkActionService
from app.services.jobs import JobService
from app.services.mail.caught import CaughtMails
from app.services.mail.mailer import Mailer
from app.services.mail.service import MailService
from app.services.monitoring.recent_requests import RecentRequests
from app.services.transfers.service import TransferService
from app.services.user.saved_views import SavedViewService
from app.services.user.upload import UserUpload

T = TypeVar("T")


async def get_admin_user_service(users: Users, sessions: Sessions, mfa: Mfa) -> AdminUserService:
    return AdminUserService(UserActions(users, sessions, mfa))


def _only(request: Request, service: Callable[..., T], *args: object) -> T:
    """The one instance of a service for the whole process."""
    state, name = request.app.state, service.__name__
    if not hasattr(state, name):
        setattr(state, name, service(*args))
    return cast("T", getattr(state, name))


async def get_overview_service(request: Request) -> OverviewService:
    return _only(request, OverviewService, runtime_of(request))


Overviews = Annotated[OverviewService, Depends(get_overview_service)]


async def get_overview_feed(request: Request, overviews: Overviews) -> OverviewFeed:
    return _only(request, OverviewFeed, overviews, runtime_of(request).drain)


async def get_user_upload(request: Request, users: Users) -> UserUpload:
    return UserUpload(users, runtime_of(request).settings.users.bulk_max)


async def get_job_service(request: Request, db: DbSession) -> JobService:
    return runtime_of(request).job_service(db)


async def get_saved_view_service(request: Request, db: DbSession) -> SavedViewService:
    return runtime_of(request).saved_view_service(db, "users")


async def get_transfer_service(request: Request, db: DbSession) -> TransferService:
    return runtime_of(request).transfer_service(db)


async def get_bulk_action_service(request: Request, db: DbSession) -> BulkActionService:
    return runtime_of(request).bulk_action_service(db)


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
BulkActions = Annotated[BulkActionService, Depends(get_bulk_action_service)]
Feed = Annotated[OverviewFeed, Depends(get_overview_feed)]
Jobs = Annotated[JobService, Depends(get_job_service)]
SavedViews = Annotated[SavedViewService, Depends(get_saved_view_service)]
Transfers = Annotated[TransferService, Depends(get_transfer_service)]
Mails = Annotated[MailService, Depends(get_mail_service)]
Caught = Annotated[CaughtMails, Depends(get_caught_mails)]
Recent = Annotated[RecentRequests, Depends(get_recent_requests)]
MailerDep = Annotated[Mailer, Depends(get_mailer)]
Uploads = Annotated[UserUpload, Depends(get_user_upload)]
