"""Where a request gets its parts from: the one place that wires the layers together."""

from typing import Annotated

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api import limits
from app.api.deps.auth import Bearer, count, get_caller, get_current_superuser, get_current_user
from app.api.runtime import runtime_of
from app.core.device import Device
from app.core.middleware.deadline import current_deadline
from app.database import get_db
from app.schemas.session import Principal
from app.services.auth.service import AuthService
from app.services.dashboard import DashboardService
from app.services.monitoring.health import HealthService
from app.services.monitoring.metrics import MetricsService
from app.services.session import SessionService
from app.services.user.export import ExportService
from app.services.user.listing import UserListService
from app.services.user.service import UserService

Session = Annotated[AsyncSession, Depends(get_db, scope="function")]


# All of them are `async`: FastAPI sends a plain function through a thread, at 100 µs each. They
# call one another where they can: a dependency of a dependency costs another 20 µs.


async def get_user_service(request: Request, db: Session) -> UserService:
    parts = runtime_of(request)
    settings = parts.settings
    return UserService(db, parts.passwords, parts.principals, settings.auth, settings.app.app_name)


async def get_user_list_service(request: Request) -> UserListService:
    """One for the whole process: each of its queries has a connection of its own."""
    return runtime_of(request).user_lists


async def get_export_service(request: Request) -> ExportService:
    return runtime_of(request).exports


async def get_session_service(request: Request, db: Session) -> SessionService:
    return SessionService(db, runtime_of(request).principals)


async def get_auth_service(request: Request, db: Session) -> AuthService:
    parts = runtime_of(request)
    settings = parts.settings
    return AuthService(
        db,
        parts.passwords,
        parts.tokens,
        parts.principals,
        settings.auth,
        settings.app.app_name,
    )


@Bearer
async def get_dashboard_service(request: Request, response: Response) -> DashboardService:
    """For superusers, in the same dependency. One for the whole process: most requests find the
    figures remembered.

    Raises:
        UnauthorizedException: nobody is logged in.
        ForbiddenException: the caller is a plain user.
    """
    await get_current_superuser(request, response)
    return runtime_of(request).dashboard


async def get_health_service(request: Request) -> HealthService:
    """One for the whole process, so that concurrent probes share their checks."""
    return runtime_of(request).health


async def get_metrics_service(request: Request) -> MetricsService:
    """One for the whole process. It takes no connection, and so answers while there is none."""
    return runtime_of(request).metrics


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
        await count(request, response, caller)
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
