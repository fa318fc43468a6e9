"""Rate limits of routes, as entries of `dependencies=[…]`."""

from fastapi import Depends, Request, Response

from app.api import limits
from app.api.deps.auth import Caller, CurrentUser, count
from app.api.runtime import runtime_of


async def limited(request: Request, response: Response) -> None:
    """For a public route: check the limits that decorate it."""
    parts = runtime_of(request)
    await limits.check_endpoint(request, response, parts.hits, parts.settings.limiter)


async def limited_user(request: Request, response: Response, _: CurrentUser) -> None:
    """The same for a route that requires a login, on top of the limit of writes."""
    await limited(request, response)


async def limited_unless_superuser(request: Request, response: Response, caller: Caller) -> None:
    """The same, where superusers have their limit of writes instead."""
    if caller is not None and caller.is_superuser:
        await count(request, response, caller)
    else:
        await limited(request, response)


Limited = Depends(limited)
LimitedUser = Depends(limited_user)
LimitedUnlessSuperuser = Depends(limited_unless_superuser)
