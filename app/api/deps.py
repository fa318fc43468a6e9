"""Where a request gets its parts from: the one place that wires the layers together."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.deadline import current_deadline
from app.core.exceptions import ForbiddenException, UnauthorizedException
from app.core.principal import Device, Principal
from app.database import get_db
from app.runtime import Runtime
from app.services import AuthService, HealthService, UserService

_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/refresh",
    scheme_name="bearer",
    auto_error=False,
)
Session = Annotated[AsyncSession, Depends(get_db, scope="function")]
Token = Annotated[str | None, Depends(_bearer)]


def get_runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Parts = Annotated[Runtime, Depends(get_runtime)]


def get_user_service(db: Session, parts: Parts) -> UserService:
    return UserService(db, parts.passwords, parts.settings.auth)


def get_auth_service(db: Session, parts: Parts) -> AuthService:
    return AuthService(db, parts.passwords, parts.tokens, parts.settings.auth)


def get_health_service(request: Request) -> HealthService:
    """One for the whole process, so that concurrent probes share their checks."""
    health: HealthService = request.app.state.health
    return health


async def get_caller(
    request: Request, token: Token, auth: Annotated[AuthService, Depends(get_auth_service)]
) -> Principal | None:
    """Who calls; None for nobody.

    Raises:
        UnauthorizedException: a token was sent and does not hold.
    """
    if token is None:
        return None
    principal = await auth.authenticate(token)
    request.state.principal = principal.user_id
    return principal


def get_current_user(caller: Annotated[Principal | None, Depends(get_caller)]) -> Principal:
    """Raises: UnauthorizedException: nobody is logged in."""
    if caller is None:
        raise UnauthorizedException
    return caller


def get_current_superuser(caller: Annotated[Principal, Depends(get_current_user)]) -> Principal:
    """Raises: ForbiddenException: the caller is a plain user."""
    if not caller.is_superuser:
        raise ForbiddenException
    return caller


def get_device(request: Request) -> Device:
    """The client's address is that of the peer, or what a trusted proxy said it was."""
    address = request.client.host[:45] if request.client else None
    return Device(request.headers.get("user-agent"), address)


class Deadline:
    """A route's own deadline: `dependencies=[Depends(Deadline(120))]`.

    Args:
        timeout: seconds, counted from the request's arrival.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    async def __call__(self) -> None:
        if (deadline := current_deadline()) is not None:
            deadline.reschedule(self.timeout)
