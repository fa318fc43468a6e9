"""Authentication dependencies: `Caller`, `CurrentUser`, `CurrentPrincipal`, `Requires`, …"""

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request, Response
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.base import SecurityBase

from app.api.deps.api_keys import principal_of_key
from app.api.runtime import runtime_of
from app.core.caller import identify_caller
from app.core.exceptions import (
    ForbiddenException,
    ImpersonationException,
    ImpersonationReadOnlyException,
    MfaEnrolmentRequiredException,
    UnauthorizedException,
)
from app.core.limiter import parsed
from app.core.origin import authenticated_as
from app.core.permissions import Permission
from app.core.security.api_keys import is_api_key
from app.schemas.access.session import Principal

T = TypeVar("T")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/refresh",
    scheme_name="bearer",
    auto_error=False,
)


class Bearer(SecurityBase, Generic[T]):
    """Turns a function that reads the bearer token into a dependency with the security scheme.

    With the scheme as a dependency of its own, below this one, each request would take 20 µs more.
    The functions call each other for the same reason.

    Attributes:
        permission: the permission that a route with it requires, for the API's document.
        access: who may use such a route, in words.
    """

    def __init__(
        self,
        find: Callable[[Request, Response], Awaitable[T]],
        permission: Permission | None = None,
        access: str = "",
    ) -> None:
        self.model, self.scheme_name = _bearer.model, _bearer.scheme_name
        self.permission = permission
        self.access = access or permission or "users"
        self._find = find

    async def __call__(self, request: Request, response: Response) -> T:
        return await self._find(request, response)


async def _caller(request: Request, _: Response) -> Principal | None:
    """The caller; None for an anonymous one.

    Raises:
        UnauthorizedException: a token was sent and is not valid.
        ImpersonationException: see `check_impersonation`.
        MfaEnrolmentRequiredException: see `check_enrolment`.
    """
    caller = await _authenticated(request)
    if caller is not None:
        check_impersonation(request, caller)
        check_enrolment(request, caller)
    return caller


async def _authenticated(request: Request) -> Principal | None:
    token = await _bearer(request)
    if token is None:
        return None
    if is_api_key(token):
        principal = await principal_of_key(request, token)
    else:
        principal = await runtime_of(request).authenticator.principal(token)
    identify(request, principal)
    request.state.is_superuser = principal.is_superuser
    return principal


def identify(request: Request, principal: Principal) -> None:
    """Tell the audit trail, the access log and the rate limits of routes who acts."""
    user, key, impersonator = principal.user, principal.key, principal.impersonator
    if key is None:
        impersonator_id = None if impersonator is None else impersonator.user_id
        authenticated_as("user", user.id, user.username, impersonator_id)
    else:
        authenticated_as("key", str(key.id), f"{user.username}: {key.name}")
    request.state.principal = user.id
    request.state.person = principal.person_id
    identify_caller(user.id)


def check_impersonation(request: Request, caller: Principal, *, may_change: bool = False) -> None:
    """The one rule on what a superuser may do as another user: reads, and where a route accepts
    it, changes, if they were asked for at the start.

    Args:
        request: of any caller.
        caller: of it.
        may_change: whether the route accepts changes, which none of an account does.

    Raises:
        ImpersonationReadOnlyException: the impersonation is read-only, and the method is not safe.
        ImpersonationException: the method is not safe, and the route is not open to impersonations.
    """
    if caller.impersonator is None or request.method in SAFE_METHODS:
        return
    if caller.impersonator.is_read_only:
        raise ImpersonationReadOnlyException
    if not may_change:
        raise ImpersonationException


def check_enrolment(request: Request, caller: Principal) -> None:
    """
    Raises:
        MfaEnrolmentRequiredException: the caller has to set up a second factor first.
    """
    settings = runtime_of(request).settings.auth
    if caller.impersonator is not None:  # who has met the requirement, and cannot meet another's
        return
    if not caller.user.has_mfa and settings.requires_mfa(is_superuser=caller.is_superuser):
        raise MfaEnrolmentRequiredException


async def _enrolling_principal(request: Request, response: Response) -> Principal:
    """The caller, a user or a program with an API key, for what users may do before they have set
    up a second factor that is required.

    Raises:
        UnauthorizedException: no token was sent, or it is not valid.
        RateLimitExceeded: the caller called too often.
        ImpersonationException: see `check_impersonation`.
    """
    caller = await _counted(request, response)
    check_impersonation(request, caller, may_change=True)
    return caller


async def _counted(request: Request, response: Response) -> Principal:
    """The caller, counted against their limit of reads or writes. Stored in the request, and so
    neither looked up nor counted twice."""
    known: Principal | None = getattr(request.state, "current_user", None)
    if known is not None:
        return known
    caller = await _authenticated(request)
    if caller is None:
        raise UnauthorizedException
    await count_call(request, response, caller)
    request.state.current_user = caller
    return caller


async def _enrolling_user(request: Request, response: Response) -> Principal:
    """The same, without API keys and without changes by impersonators.

    Raises:
        ForbiddenException: the caller is an API key, or an impersonator.
    """
    return _person(request, await _enrolling_principal(request, response))


async def _leaving_user(request: Request, response: Response) -> Principal:
    """The same for the end of the caller's session, also of an impersonation."""
    return _not_a_key(await _counted(request, response))


async def _current_principal(request: Request, response: Response) -> Principal:
    """A user or an API key, for everything that needs no login.

    Raises:
        MfaEnrolmentRequiredException: see `check_enrolment`.
    """
    caller = await _enrolling_principal(request, response)
    check_enrolment(request, caller)
    return caller


async def _current_user(request: Request, response: Response) -> Principal:
    """The same, without API keys and without changes by impersonators: for accounts, passwords,
    factors, sessions and keys."""
    return _person(request, await _current_principal(request, response))


def _person(request: Request, caller: Principal) -> Principal:
    check_impersonation(request, caller)
    return _not_a_key(caller)


def _not_a_key(caller: Principal) -> Principal:
    if caller.key is not None:
        raise ForbiddenException("An API key may not do this: log in")
    return caller


async def _current_superuser(request: Request, response: Response) -> Principal:
    """Raises: ForbiddenException: the caller is no superuser."""
    caller = await _current_user(request, response)
    if not caller.is_superuser:
        raise ForbiddenException
    return caller


async def permitted(request: Request, response: Response, permission: Permission) -> Principal:
    """The caller, a user or an API key.

    Raises:
        UnauthorizedException: no token was sent, or it is not valid.
        ForbiddenException: the caller does not have the permission, or is an impersonator who
            would change something.
        RateLimitExceeded: the caller called too often.
    """
    caller = await _current_principal(request, response)
    check_impersonation(request, caller)
    if not caller.may(permission):
        raise ForbiddenException(f"This requires the permission {permission}")
    return caller


def Requires(permission: Permission, *, of_others: bool = False, by_keys: bool = True) -> Any:  # noqa: N802  # a dependency, named as one
    """The dependency on a caller with a permission: `caller: Annotated[Principal, Requires(…)]`.

    Args:
        permission: shown in the API's document as well.
        of_others: whether users need it for what is not their own alone: any user passes, and the
            service checks.
        by_keys: whether API keys with the permission pass.
    """

    async def find(request: Request, response: Response) -> Principal:
        caller = await permitted(request, response, permission)
        return caller if by_keys else _not_a_key(caller)

    if of_others:
        return Depends(Bearer(_current_principal, permission, f"users; for others {permission}"))
    return Depends(Bearer(find, permission))


async def _scraper(request: Request, response: Response) -> None:
    """Check that Prometheus calls, with its token, or a user with the permission.

    Raises:
        UnauthorizedException: neither.
        ForbiddenException: a user without the permission.
    """
    scrape_token = runtime_of(request).settings.telemetry.scrape_token
    token = await _bearer(request)
    if (
        token
        and scrape_token
        and compare_digest(token.encode(), scrape_token.get_secret_value().encode())
    ):
        return
    await permitted(request, response, Permission.METRICS_READ)


async def count_call(request: Request, response: Response, caller: Principal) -> None:
    """Count a call against its caller's limit of reads or writes, and add it to the headers.

    Raises:
        RateLimitExceeded: the caller called too often.
    """
    parts = runtime_of(request)
    settings = parts.settings.limiter
    if not settings.enabled:
        return
    # An impersonator does not use up the limits of the user.
    kind, who = "read" if request.method in SAFE_METHODS else "write", f"user:{caller.person_id}"
    if caller.key is not None:
        kind, who = f"key_{kind}", f"key:{caller.key.id.hex}"
    item = parsed(getattr(settings, kind))
    window = await parts.hits.hit_or_raise(item, kind, who)
    response.headers.update(window.headers(kind, response.headers))


Caller = Annotated[Principal | None, Depends(Bearer(_caller, access="everybody"))]
EnrollingUser = Annotated[Principal, Depends(Bearer(_enrolling_user))]
LeavingUser = Annotated[Principal, Depends(Bearer(_leaving_user))]
EnrollingPrincipal = Annotated[Principal, Depends(Bearer(_enrolling_principal))]
CurrentPrincipal = Annotated[Principal, Depends(Bearer(_current_principal))]
CurrentUser = Annotated[Principal, Depends(Bearer(_current_user))]
CurrentSuperuser = Annotated[Principal, Depends(Bearer(_current_superuser, access="superusers"))]
Scraper = Depends(Bearer(_scraper, Permission.METRICS_READ))
