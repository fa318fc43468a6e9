"""Where a request gets its parts from: the one place that wires the layers together."""

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.api import limits
from app.core.deadline import current_deadline
from app.core.device import Device
from app.core.exceptions import ForbiddenException, UnauthorizedException
from app.database import get_db
from app.runtime import Runtime
from app.schemas import Principal
from app.services import AuthService, HealthService, SessionService, UserService

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
    return UserService(db, parts.passwords, parts.principals, parts.settings.auth)


def get_session_service(db: Session, parts: Parts) -> SessionService:
    return SessionService(db, parts.principals)


def get_auth_service(db: Session, parts: Parts) -> AuthService:
    return AuthService(db, parts.passwords, parts.tokens, parts.principals, parts.settings.auth)


def get_health_service(parts: Parts) -> HealthService:
    """One for the whole process, so that concurrent probes share their checks."""
    return parts.health


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


async def get_current_user(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Annotated[Principal | None, Depends(get_caller)],
) -> Principal:
    """Who calls, within their limit of reads or writes.

    Raises:
        UnauthorizedException: nobody is logged in.
        RateLimitExceeded: they called too often.
    """
    if caller is None:
        raise UnauthorizedException
    settings = parts.settings.limiter
    await limits.check_principal(request, response, parts.hits, settings, caller)
    return caller


async def limited(request: Request, response: Response, parts: Parts) -> None:
    """For a route that anybody may call: check the limits that decorate it."""
    await limits.check_endpoint(request, response, parts.hits, parts.settings.limiter)


async def limited_user(
    request: Request,
    response: Response,
    parts: Parts,
    _: Annotated[Principal, Depends(get_current_user)],
) -> None:
    """The same for a route that takes a login, on top of the limit of writes."""
    await limited(request, response, parts)


async def limited_unless_superuser(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Annotated[Principal | None, Depends(get_caller)],
) -> None:
    """The same, where superusers have their limit of writes instead."""
    if caller is not None and caller.is_superuser:
        await get_current_user(request, response, parts, caller)
    else:
        await limited(request, response, parts)


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
