"""Providers of services, each beside its alias for endpoints."""

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps.auth import Bearer, permitted
from app.api.runtime import runtime_of
from app.core.cache import Unkeyed
from app.core.permissions import Permission
from app.database import get_db
from app.services.access.roles import RoleService
from app.services.account.deletion import AccountDeletionService
from app.services.account.email_change import EmailChangeService
from app.services.account.export import AccountExport
from app.services.account.impersonation import ImpersonationService
from app.services.account.recovery import RecoveryService
from app.services.account.verification import VerificationService
from app.services.api_keys.service import ApiKeyService
from app.services.auth.confirmation import ConfirmationService
from app.services.auth.mfa import MfaService
from app.services.auth.passkey_login import PasskeyLoginService
from app.services.auth.passkeys import PasskeyService
from app.services.auth.second_step import SecondStepService
from app.services.auth.service import AuthService
from app.services.dashboard import DashboardService
from app.services.export import ExportService
from app.services.invitations.acceptance import InvitationAcceptance
from app.services.invitations.service import InvitationService
from app.services.monitoring.health import HealthService
from app.services.monitoring.metrics import MetricsService
from app.services.resource import ResourceService
from app.services.session import SessionService
from app.services.user.lists import UserListService
from app.services.user.service import UserService

DbSession = Annotated[AsyncSession, Depends(get_db, scope="function")]


# All providers are `async`: FastAPI runs a plain function in a thread, at 100 µs each.


async def get_user_service(request: Request, db: DbSession) -> UserService:
    return runtime_of(request).user_service(db)


Users = Annotated[UserService, Depends(get_user_service)]


async def get_user_list_service(request: Request) -> UserListService:
    """One for the whole process: each of its queries has a connection of its own."""
    return runtime_of(request).user_lists


UserLists = Annotated[UserListService, Depends(get_user_list_service)]


async def get_export_service(request: Request) -> ExportService:
    return runtime_of(request).exports


Exports = Annotated[ExportService, Depends(get_export_service)]


async def get_session_service(request: Request, db: DbSession) -> SessionService:
    return runtime_of(request).session_service(db)


Sessions = Annotated[SessionService, Depends(get_session_service)]


async def get_impersonation_service(request: Request, db: DbSession) -> ImpersonationService:
    return runtime_of(request).impersonation_service(db)


Impersonations = Annotated[ImpersonationService, Depends(get_impersonation_service)]


async def get_auth_service(request: Request, db: DbSession) -> AuthService:
    return runtime_of(request).auth_service(db)


Auth = Annotated[AuthService, Depends(get_auth_service)]


async def get_recovery_service(request: Request, db: DbSession) -> RecoveryService:
    return runtime_of(request).recovery_service(db)


Recovery = Annotated[RecoveryService, Depends(get_recovery_service)]


async def get_email_change_service(request: Request, db: DbSession) -> EmailChangeService:
    return runtime_of(request).email_change_service(db)


EmailChanges = Annotated[EmailChangeService, Depends(get_email_change_service)]


async def get_verification_service(request: Request, db: DbSession) -> VerificationService:
    return runtime_of(request).verification_service(db)


Verification = Annotated[VerificationService, Depends(get_verification_service)]


async def get_second_step_service(request: Request, db: DbSession) -> SecondStepService:
    return runtime_of(request).second_step_service(db)


SecondStep = Annotated[SecondStepService, Depends(get_second_step_service)]


async def get_mfa_service(request: Request, db: DbSession) -> MfaService:
    return runtime_of(request).mfa_service(db)


Mfa = Annotated[MfaService, Depends(get_mfa_service)]


async def get_passkey_service(request: Request, db: DbSession) -> PasskeyService:
    return runtime_of(request).passkey_service(db)


Passkeys = Annotated[PasskeyService, Depends(get_passkey_service)]


async def get_passkey_login_service(request: Request, db: DbSession) -> PasskeyLoginService:
    return runtime_of(request).passkey_login_service(db)


PasskeyLogins = Annotated[PasskeyLoginService, Depends(get_passkey_login_service)]


async def get_confirmation_service(request: Request, db: DbSession) -> ConfirmationService:
    return runtime_of(request).confirmation_service(db)


Confirmations = Annotated[ConfirmationService, Depends(get_confirmation_service)]


async def get_invitation_service(request: Request, db: DbSession) -> InvitationService:
    return runtime_of(request).invitation_service(db)


Invitations = Annotated[InvitationService, Depends(get_invitation_service)]


async def get_invitation_acceptance(request: Request, db: DbSession) -> InvitationAcceptance:
    return runtime_of(request).invitation_acceptance(db)


async def get_account_deletion_service(request: Request, db: DbSession) -> AccountDeletionService:
    return runtime_of(request).account_deletion_service(db)


Deletions = Annotated[AccountDeletionService, Depends(get_account_deletion_service)]


async def get_account_export(request: Request) -> AccountExport:
    return runtime_of(request).account_export()


AccountExports = Annotated[AccountExport, Depends(get_account_export)]
Acceptance = Annotated[InvitationAcceptance, Depends(get_invitation_acceptance)]


async def _user_statistics(request: Request, response: Response) -> DashboardService:
    """It checks the permission itself: a dependency of its own would cost 20 µs. One for the whole
    process: most requests are answered from the cache.

    Raises:
        UnauthorizedException: no token was sent.
        ForbiddenException: the caller does not have the permission.
    """
    await permitted(request, response, Permission.STATS_READ)
    return runtime_of(request).user_statistics


UserStatistics = Annotated[
    DashboardService,
    Depends(Bearer(_user_statistics, Permission.STATS_READ)),
    Unkeyed("no parameter of a request in it"),
]


async def get_api_key_service(request: Request, db: DbSession) -> ApiKeyService:
    return runtime_of(request).api_key_service(db)


ApiKeys = Annotated[ApiKeyService, Depends(get_api_key_service)]


async def get_role_service(request: Request, db: DbSession) -> RoleService:
    return runtime_of(request).role_service(db)


Roles = Annotated[RoleService, Depends(get_role_service)]


async def get_health_service(request: Request) -> HealthService:
    """One for the whole process, so that concurrent probes share their checks."""
    return runtime_of(request).health


Health = Annotated[HealthService, Depends(get_health_service)]


async def get_metrics_service(request: Request) -> MetricsService:
    """One for the whole process. It takes no connection, and so answers while there is none."""
    return runtime_of(request).metrics


Metrics = Annotated[MetricsService, Depends(get_metrics_service)]


def resource(service: type[ResourceService]) -> Any:
    """The dependency on the service of a resource: `Annotated[NoteService, resource(NoteService)]`
    in the file of its endpoints."""

    async def provide(request: Request, db: DbSession) -> ResourceService:
        return runtime_of(request).resource_service(service, db)

    return Depends(provide)
