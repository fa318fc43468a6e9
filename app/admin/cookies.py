"""The seven cookies of the pages: the session, an impersonation beside it, the random value of
forms before a login, a notice for the next page, the proof of a known device, the chosen language,
and how the users table is shown. The API reads none of them."""

from typing import Literal

from fastapi import Request, Response

from app.api.runtime import runtime_of
from app.core.config import AppSettings
from app.core.cookies import parse_cookies
from app.core.security.known_devices import SEPARATOR

CookieName = Literal["session", "impersonation", "form", "notice", "device", "language", "display"]


def name_of(cookie: CookieName, app: AppSettings) -> str:
    """With the prefix `__Host-` outside development: browsers then accept it over https alone, and
    from this host alone, not from another one of the same domain."""
    return f"__Host-backend_{cookie}" if is_secure(app) else f"backend_{cookie}"


def is_secure(app: AppSettings) -> bool:
    return app.environment != "development"


def read(request: Request, cookie: CookieName) -> str | None:
    name = name_of(cookie, runtime_of(request).settings.app)
    return parse_cookies(request.headers.getlist("cookie")).get(name)


def write(
    response: Response, request: Request, cookie: CookieName, value: str, max_age: int | None = None
) -> None:
    """Args: max_age: seconds; None for until the browser is closed."""
    app = runtime_of(request).settings.app
    response.set_cookie(
        name_of(cookie, app),
        value,
        max_age=max_age,
        path="/",
        secure=is_secure(app),
        httponly=True,
        samesite="strict",
    )


def device_tokens(request: Request) -> tuple[str, ...]:
    """The browser's tokens as a known device, one for each account."""
    value = read(request, "device")
    return tuple(value.split(SEPARATOR)) if value else ()


def write_device(response: Response, request: Request, token: str) -> None:
    """Make the browser a known device of one more account."""
    parts = runtime_of(request)
    value = parts.devices.joined(token, device_tokens(request))
    write(response, request, "device", value, parts.settings.auth.device_ttl)


def delete(response: Response, request: Request, cookie: CookieName) -> None:
    """Have the browser delete the cookie, where it sent one."""
    if read(request, cookie) is not None:
        write(response, request, cookie, "", max_age=0)
