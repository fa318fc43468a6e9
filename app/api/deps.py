"""Where a request gets its parts from: the one place that wires the layers together."""

from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.api import limits
from app.core.deadline import current_deadline
from app.core.device import Device
from app.core.exceptions import (
    ForbiddenException,
    UnauthorizedException,
)
from app.database import get_db
from app.runtime import Runtime
from app.schemas import Principal
from app.services import (
    AuthService,
    BulkService,
    DashboardService,
    ExportService,
    HealthService,
    IdempotencyService,
    MetricsService,
    OverviewService,
    SessionService,
    UserListService,
    UserService,
)

_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/refresh",
    scheme_name="bearer",
    auto_error=False,
)
Session = Annotated[AsyncSession, Depends(get_db, scope="function")]
Token = Annotated[str | None, Depends(_bearer)]


# All of them are `async`: FastAPI sends a plain function through a thread, at 100 µs each. They
# call one another where they can: a dependency of a dependency costs another 20 µs.


def runtime_of(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


async def get_user_service(request: Request, db: Session) -> UserService:
    parts = runtime_of(request)
    return UserService(db, parts.passwords, parts.principals, parts.settings.auth)


async def get_user_list_service(request: Request) -> UserListService:
    """One for the whole process: each of its queries has a connection of its own."""
    return runtime_of(request).user_lists


async def get_bulk_service(
    db: Session, users: Annotated[UserService, Depends(get_user_service)]
) -> BulkService:
    return BulkService(users, IdempotencyService(db))


async def get_export_service(request: Request) -> ExportService:
    return runtime_of(request).exports


async def get_session_service(request: Request, db: Session) -> SessionService:
    return SessionService(db, runtime_of(request).principals)


async def get_auth_service(request: Request, db: Session) -> AuthService:
    parts = runtime_of(request)
    return AuthService(db, parts.passwords, parts.tokens, parts.principals, parts.settings.auth)


async def get_dashboard_service(request: Request) -> DashboardService:
    """With a session that the service closes itself: most requests never need it."""
    return DashboardService(runtime_of(request).session_maker())


async def get_health_service(request: Request) -> HealthService:
    """One for the whole process, so that concurrent probes share their checks."""
    return runtime_of(request).health


async def get_metrics_service(request: Request) -> MetricsService:
    """One for the whole process. It takes no connection, and so answers while there is none."""
    return runtime_of(request).metrics


async def get_overview_service(request: Request) -> OverviewService:
    """One for the whole process: it remembers the last figures."""
    return runtime_of(request).overview


async def get_caller(request: Request, token: Token) -> Principal | None:
    """Who calls; None for nobody.

    Raises:
        UnauthorizedException: a token was sent and does not hold.
    """
    if token is None:
        return None
    principal = await runtime_of(request).authenticator.principal(token)
    request.state.principal = principal.user_id
    request.state.is_superuser = principal.is_superuser
    return principal


async def get_current_user(request: Request, response: Response, token: Token) -> Principal:
    """Who calls, within their limit of reads or writes. Asked again by the same request, it
    neither looks nor counts again.

    Raises:
        UnauthorizedException: nobody is logged in.
        RateLimitExceeded: they called too often.
    """
    known: Principal | None = getattr(request.state, "current_user", None)
    if known is not None:
        return known
    caller = await get_caller(request, token)
    if caller is None:
        raise UnauthorizedException
    await _count(request, response, caller)
    request.state.current_user = caller
    return caller


async def _count(request: Request, response: Response, caller: Principal) -> None:
    parts = runtime_of(request)
    await limits.check_principal(request, response, parts.hits, parts.settings.limiter, caller)


async def get_current_superuser(request: Request, response: Response, token: Token) -> Principal:
    """Raises: ForbiddenException: the caller is a plain user."""
    caller = await get_current_user(request, response, token)
    if not caller.is_superuser:
        raise ForbiddenException
    return caller


async def get_scraper(request: Request, response: Response, token: Token) -> None:
    """Prometheus, by its token, or a superuser.

    Raises:
        UnauthorizedException: neither.
        ForbiddenException: a plain user.
    """
    scrape_token = runtime_of(request).settings.telemetry.scrape_token
    if (
        token
        and scrape_token
        and compare_digest(token.encode(), scrape_token.get_secret_value().encode())
    ):
        return
    await get_current_superuser(request, response, token)


async def limited(request: Request, response: Response) -> None:
    """For a route that anybody may call: check the limits that decorate it."""
    parts = runtime_of(request)
    await limits.check_endpoint(request, response, parts.hits, parts.settings.limiter)


async def limited_user(
    request: Request,
    response: Response,
    _: Annotated[Principal, Depends(get_current_user)],
) -> None:
    """The same for a route that takes a login, on top of the limit of writes."""
    await limited(request, response)


async def limited_unless_superuser(
    request: Request,
    response: Response,
    caller: Annotated[Principal | None, Depends(get_caller)],
) -> None:
    """The same, where superusers have their limit of writes instead."""
    if caller is not None and caller.is_superuser:
        await _count(request, response, caller)
    else:
        await limited(request, response)


async def get_device(request: Request) -> Device:
    """The client's address is that of the peer, or what a trusted proxy said it was."""
    address = request.client.host[:45] if request.client else None
    return Device(request.headers.get("user-agent"), address)


class Deadline:
    """For a route that may take longer than others: `dependencies=[Depends(Deadline(120))]`.

    Args:
        timeout: seconds that it has at least, counted from the request's arrival.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    async def __call__(self) -> None:
        if (deadline := current_deadline()) is not None:
            deadline.reschedule(max(self.timeout, deadline.timeout))
