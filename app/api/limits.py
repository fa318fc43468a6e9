"""Which limit applies to whom, and the answer in the headers."""

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
from app.core.normalisation import normalise_login
from app.schemas.session import Principal

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


async def by_email(request: Request) -> str:
    """The account that somebody tries to log in to by JSON."""
    return _account(await _in_body(request, "email"), request)


async def by_username(request: Request) -> str:
    """The account that somebody tries to log in to by form."""
    return _account((await request.form()).get("username"), request)


def _account(login: object, request: Request) -> str:
    """Hashed: a key is no place for an email. A login that names none counts against its sender."""
    if not isinstance(login, str):
        return by_address(request)
    account = normalise_login(login).encode(errors="replace")
    return f"account:{sha256(account).hexdigest()[:32]}"


def by_principal(request: Request) -> str:
    """Whoever is logged in; the dependency that found out stands before this one."""
    return f"user:{request.state.principal}"


async def by_address_of_new_email(request: Request) -> str | None:
    """The sender of a change of their own email, as of a sign-up: both tell whether an email is
    taken. None, and so no limit, for any other change and for superusers, who see all emails."""
    return by_address(request) if await _is_new_email(request) else None


async def by_principal_of_new_email(request: Request) -> str | None:
    """The user behind it, wherever they send it from."""
    return by_principal(request) if await _is_new_email(request) else None


async def _is_new_email(request: Request) -> bool:
    is_superuser = request.state.is_superuser
    return not is_superuser and await _in_body(request, "email") is not None


async def by_refreshed_session(request: Request) -> str:
    """The session of a refresh token; what is no token of ours counts against its sender."""
    token = str(await _in_body(request, "refresh_token"))
    try:
        return f"session:{runtime_of(request).tokens.refresh.read(token).session_id.hex}"
    except UnauthorizedException:
        return by_address(request)


async def _in_body(request: Request, field: str) -> Any:
    """What a JSON body holds there. Nothing was validated yet, and there may be no body at all."""
    body = await request.json() if await request.body() else None
    return body.get(field) if isinstance(body, dict) else None


async def check_endpoint(
    request: Request, response: Response, counter: HitCounter, settings: LimiterSettings
) -> None:
    """Count a hit on each limit that decorates the endpoint, but for those that have no key for the
    request, and tell of the tightest.

    Raises:
        RateLimitExceeded: one is used up; those after it are not counted.
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
    """Count a read or a write of whoever is logged in.

    Raises:
        RateLimitExceeded: they are used up.
    """
    if not settings.enabled:
        return
    kind = "read" if request.method in _READS else "write"
    item = parsed(getattr(settings, kind))
    window = await _hit(counter, item, kind, f"user:{principal.user_id}")
    # As bytes, past the search for headers to replace: nobody has told of a limit before.
    response.raw_headers += [(k.lower().encode(), v.encode()) for k, v in window.headers().items()]


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
