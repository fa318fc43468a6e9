"""Rate limits of routes: key functions for the decorators of `app.core.limiter`, and dependencies
that check those limits: `Limited`, `LimitedUser`, `LimitedSignUp`; limits of several modules.

The limits of reads and writes, which every caller has, are checked in `app.api.deps.auth`; those of
passwords, by `PasswordGuesses`.
"""

from inspect import isawaitable
from typing import Any

from fastapi import Depends, Request, Response

from app.api.deps.auth import Caller, CurrentPrincipal, EnrollingUser, count_call
from app.api.runtime import runtime_of
from app.core.exceptions import UnauthorizedException
from app.core.limiter import by_address, limiter, rate
from app.core.permissions import Permission
from app.services.auth.codes import looks_like_code


def by_principal(request: Request) -> str:
    """Key: the authenticated user, or their impersonator. Requires an earlier authentication
    dependency."""
    return f"user:{request.state.person}"


async def by_mfa_token(request: Request) -> str:
    """Key: the account of a login's second step, as `by_principal`; the address if the token is not
    valid."""
    return _account_of(request, await _in_body(request, "mfa_token"))


async def by_mfa_token_of_form(request: Request) -> str:
    """The same, for a form."""
    return _account_of(request, (await request.form()).get("mfa_token"))


def _account_of(request: Request, mfa_token: object) -> str:
    token = mfa_token if isinstance(mfa_token, str) else ""
    try:
        return f"user:{runtime_of(request).tokens.read(token, 'mfa').user_id}"
    except UnauthorizedException:
        return by_address(request)


async def by_principal_with_code(request: Request) -> str | None:
    """Key: the user who sends a code of a second factor; None for a password."""
    return by_principal(request) if await _in_body(request, "code") is not None else None


async def by_principal_with_code_of_form(request: Request) -> str | None:
    """The same, for a form with one field for either."""
    proof = (await request.form()).get("proof")
    is_code = isinstance(proof, str) and looks_like_code(proof)
    return by_principal(request) if is_code else None


async def by_refreshed_session(request: Request) -> str:
    """Key: the session of a refresh token; the address if the token is not authentic."""
    token = str(await _in_body(request, "refresh_token"))
    try:
        return f"session:{runtime_of(request).tokens.refresh.read(token).session_id.hex}"
    except UnauthorizedException:
        return by_address(request)


async def _in_body(request: Request, field: str) -> Any:
    """A field of the JSON body, which may be missing and is not validated yet."""
    body = await request.json() if await request.body() else None
    return body.get(field) if isinstance(body, dict) else None


async def limited(request: Request, response: Response) -> None:
    """For a public route: count a hit on each of its limits whose key is not None, and add them to
    the headers.

    Raises:
        RateLimitExceeded: a limit is exceeded; those after it are not counted.
    """
    parts = runtime_of(request)
    settings = parts.settings.limiter
    if not settings.enabled:
        return
    for limit in limiter.limits_of(request, settings):
        key = limit.key_func(request)
        if isawaitable(key):
            key = await key
        if key is None:
            continue
        scope = limit.scope or request.scope["endpoint"].__name__
        window = await parts.hits.hit_or_raise(limit.limit, scope, str(key))
        response.headers.update(window.headers(scope, response.headers))


async def limited_user(request: Request, response: Response, _: CurrentPrincipal) -> None:
    """The same for a route that requires a login, on top of the limit of writes."""
    await limited(request, response)


async def limited_enrolling_user(request: Request, response: Response, _: EnrollingUser) -> None:
    """The same for a route of users who set up a second factor."""
    await limited(request, response)


async def limited_sign_up(request: Request, response: Response, caller: Caller) -> None:
    """The same, where callers who may create users have their limit of writes instead."""
    if caller is not None and caller.may(Permission.USERS_CREATE):
        await count_call(request, response, caller)
    else:
        await limited(request, response)


Limited = Depends(limited)
LimitedUser = Depends(limited_user)
LimitedEnrollingUser = Depends(limited_enrolling_user)
LimitedSignUp = Depends(limited_sign_up)

# Limits of public routes, each counted together for the API and the pages.
view_limit = limiter.shared_limit(rate("read"), scope="read", key_func=by_address)
recovery_limit = limiter.shared_limit(rate("recovery"), scope="recovery", key_func=by_address)
link_limit = limiter.shared_limit(rate("link"), scope="link", key_func=by_address)
