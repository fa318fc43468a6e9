"""Rate limit checks for endpoints and principals, and the RateLimit headers."""

from hashlib import sha256
from inspect import isawaitable
from typing import Any

from fastapi import Request, Response
from limits import RateLimitItem
from slowapi.errors import RateLimitExceeded
from slowapi.wrappers import Limit

from app.api.runtime import runtime_of
from app.core.config import LimiterSettings
from app.core.exceptions import UnauthorizedException
from app.core.limiter import HitCounter, Window, by_address, limiter, parsed
from app.core.text.normalisation import normalise_login
from app.schemas.session import Principal

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


async def by_email(request: Request) -> str:
    """Key: the account of a login by JSON."""
    return _account(await _in_body(request, "email"), request)


async def by_username(request: Request) -> str:
    """Key: the account of a login by form."""
    return _account((await request.form()).get("username"), request)


def _account(login: object, request: Request) -> str:
    """Key of an account, hashed to keep emails out of Redis; the address if there is no login."""
    if not isinstance(login, str):
        return by_address(request)
    account = normalise_login(login).encode(errors="replace")
    return f"account:{sha256(account).hexdigest()[:32]}"


def by_principal(request: Request) -> str:
    """Key: the authenticated user. Requires an earlier authentication dependency."""
    return f"user:{request.state.principal}"


async def by_address_of_new_email(request: Request) -> str | None:
    """Key: the address of a user who changes their own email, shared with sign-ups: both reveal
    whether an email is taken. None, so no limit, for other changes and for superusers, who see all
    emails."""
    return by_address(request) if await _is_new_email(request) else None


async def by_principal_of_new_email(request: Request) -> str | None:
    """Key: the user who changes their own email, from any address."""
    return by_principal(request) if await _is_new_email(request) else None


async def _is_new_email(request: Request) -> bool:
    is_superuser = request.state.is_superuser
    return not is_superuser and await _in_body(request, "email") is not None


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


async def check_endpoint(
    request: Request, response: Response, counter: HitCounter, settings: LimiterSettings
) -> None:
    """Count a hit on each limit of the endpoint whose key is not None, and set the headers of the
    tightest one.

    Raises:
        RateLimitExceeded: a limit is exceeded; those after it are not counted.
    """
    if not settings.enabled:
        return
    windows = []
    for limit in limiter.limits_of(request, settings):
        key = limit.key_func(request)
        if isawaitable(key):
            key = await key
        if key is None:
            continue
        scope = limit.scope or request.scope["endpoint"].__name__
        windows.append(await _hit(counter, limit.limit, scope, str(key)))
    if windows:
        tightest = min(windows, key=lambda window: window.limit - window.used)
        response.headers.update(tightest.headers())


async def check_principal(
    request: Request,
    response: Response,
    counter: HitCounter,
    settings: LimiterSettings,
    principal: Principal,
) -> None:
    """Count a read or a write of the authenticated caller.

    Raises:
        RateLimitExceeded: the limit is exceeded.
    """
    if not settings.enabled:
        return
    kind = "read" if request.method in _READS else "write"
    item = parsed(getattr(settings, kind))
    window = await _hit(counter, item, kind, f"user:{principal.user_id}")
    response.headers.update(window.headers())


async def _hit(counter: HitCounter, item: RateLimitItem, scope: str, key: str) -> Window:
    window = await counter.hit(item, scope, key)
    if window.is_exceeded:
        refusal = RateLimitExceeded(
            Limit(
                item,
                key_func=by_address,
                scope=scope,
                per_method=False,
                methods=None,
                error_message=None,
                exempt_when=None,
                cost=1,
                override_defaults=False,
            )
        )
        refusal.headers = {**window.headers(), "Retry-After": str(window.retry_after())}
        raise refusal
    return window
