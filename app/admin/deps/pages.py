"""Dependencies on a page: the `AdminPage` or `AccountPage` of the user who is logged in."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from app.admin import cookies
from app.admin.csrf import check_form
from app.admin.login_page import login_page
from app.admin.navigation import OVERVIEW
from app.admin.page import NOT_ALLOWED, AccountPage, AdminPage
from app.admin.typed import MAX_SEALED, TYPED
from app.api.deps.auth import check_enrolment, check_impersonation, count_call, identify
from app.api.deps.request import ClientDevice
from app.api.limits import limited
from app.api.runtime import runtime_of
from app.core.device import Device
from app.core.exceptions import ForbiddenException, UnauthorizedException
from app.core.permissions import Permission
from app.schemas.access.session import Principal

MAX_SHOWN = 2_000
"""Characters of a field that a login form shows again."""


class LoginRequiredException(UnauthorizedException):
    """The browser has no session, or one that has ended."""

    error = "login_required"
    message = "Log in to see this page"


class RoleRequiredException(ForbiddenException):
    """The user is no superuser and has no role."""

    message = "Your account may not use these pages"


class ImpersonationOverException(UnauthorizedException):
    """The impersonation in the browser's cookie has ended, or there is none: nothing was done."""

    error = "impersonation_over"
    message = "You act as yourself again"


async def get_enrolling_page(request: Request, response: Response) -> AccountPage:
    """For views and forms of all users, also of those who have to set up a second factor first:
    check the session's cookie, the caller's rate limit, and that a form is ours.

    Raises:
        LoginRequiredException: no cookie, or a session that has ended.
        FormRefusedException: a form that is another session's, or from another site.
        ImpersonationOverException: see `_principal`.
        ImpersonationException: a form, by a superuser who acts as the user.
        RateLimitExceeded: too many reads or writes.
    """
    authenticate = runtime_of(request).page_sessions.principal
    return AccountPage(request, response, await _authenticated(request, response, authenticate))


async def get_leaving_page(request: Request, response: Response) -> AccountPage:
    """The same for the form that ends an impersonation."""
    authenticate = runtime_of(request).page_sessions.principal
    admin = await _principal(request, authenticate)
    await _count(request, response, admin)
    await check_form(request, str(admin.session_id))
    return AccountPage(request, response, admin)


async def get_account_page(request: Request, response: Response) -> AccountPage:
    """The same for all other pages of one's own account.

    Raises:
        MfaEnrolmentRequiredException: the caller has to set up a second factor first.
    """
    page = await get_enrolling_page(request, response)
    check_enrolment(request, page.admin)
    return page


async def get_any_page(request: Request, response: Response) -> AdminPage:
    """The same for the admin pages.

    Raises:
        RoleRequiredException: the user is no superuser and has no role.
    """
    return await _admin_page(request, response, runtime_of(request).page_sessions.principal)


async def get_page(request: Request, response: Response) -> AdminPage:
    """The same for superusers alone.

    Raises:
        ForbiddenException: the caller is none.
    """
    page = await get_any_page(request, response)
    if not page.admin.is_superuser:
        raise ForbiddenException(NOT_ALLOWED)
    return page


def page_for(*permissions: Permission) -> Any:
    """The dependency on a page for callers with all of these permissions."""

    async def get_permitted_page(request: Request, response: Response) -> AdminPage:
        page = await get_any_page(request, response)
        page.require(*permissions)
        return page

    return Depends(get_permitted_page)


async def get_overview_page(request: Request, response: Response) -> AdminPage:
    """The same for the overview, which may be read on while the database is down. Callers who may
    not see it are shown their first view."""
    sessions = runtime_of(request).page_sessions
    return await _admin_page(request, response, sessions.principal_during_outage)


async def _admin_page(
    request: Request, response: Response, authenticate: Callable[[str], Awaitable[Principal]]
) -> AdminPage:
    admin = await _authenticated(request, response, authenticate)
    return _permitted_page(request, response, admin)


async def watching_page(request: Request) -> AdminPage:
    """The page of a stream on the overview, checked anew. It counts as no call.

    Raises:
        UnauthorizedException: the session has ended.
        ForbiddenException: the caller may not see the overview any more.
    """
    sessions = runtime_of(request).page_sessions
    admin = await _principal(request, sessions.principal_during_outage)
    page = _permitted_page(request, Response(), admin)
    page.require(*OVERVIEW.permissions)
    return page


def _permitted_page(request: Request, response: Response, admin: Principal) -> AdminPage:
    if not admin.may_use_admin_pages:
        raise RoleRequiredException
    check_enrolment(request, admin)
    return AdminPage(request, response, admin)


async def _authenticated(
    request: Request, response: Response, authenticate: Callable[[str], Awaitable[Principal]]
) -> Principal:
    admin = await _principal(request, authenticate)
    await _count(request, response, admin)
    check_impersonation(request, admin)
    await check_form(request, str(admin.session_id))
    return admin


async def get_browser(request: Request, device: ClientDevice) -> Device:
    """The client, with the device tokens of its cookie."""
    return replace(device, proofs=cookies.device_tokens(request))


async def _count(request: Request, response: Response, admin: Principal) -> None:
    identify(request, admin)
    request.state.frame = admin
    await count_call(request, response, admin)


async def _principal(
    request: Request, authenticate: Callable[[str], Awaitable[Principal]]
) -> Principal:
    """Who is logged in, or whom they act as. A form of theirs is not that of the user, since its
    CSRF token is of another session.

    Raises:
        LoginRequiredException: no cookie, or a session that has ended.
        ImpersonationOverException: an impersonation that has ended.
    """
    token = cookies.read(request, "session")
    acting = cookies.read(request, "impersonation")
    if token is None and acting is None:
        raise LoginRequiredException
    try:
        return await authenticate(acting or token or "")
    except UnauthorizedException as error:
        if acting is not None:
            raise ImpersonationOverException from error
        raise LoginRequiredException("Your session has ended: log in again") from error


EnrollingPage = Annotated[AccountPage, Depends(get_enrolling_page)]


async def check_page_limits(request: Request, response: Response, _: EnrollingPage) -> None:
    """For a form with limits of its own, on top of that of writes.

    Raises:
        RateLimitExceeded: one is exceeded.
    """
    await limited(request, response)


LeavingPage = Annotated[AccountPage, Depends(get_leaving_page)]
AccountPageDep = Annotated[AccountPage, Depends(get_account_page)]


async def limited_account(request: Request, response: Response, _: AccountPageDep) -> None:
    """The same for all other pages of one's own account."""
    await limited(request, response)


async def check_login_form(request: Request) -> None:
    """For the login form: check that it came from our login page, in this browser. If it is refused
    from here on, the browser gets it again.

    Raises:
        FormRefusedException: it did not.
    """
    form = await request.form()
    username, next_url = (str(form.get(name, ""))[:MAX_SHOWN] for name in ("username", "next"))
    request.state.redisplay = partial(
        login_page,
        request,
        username=username,
        next_url=next_url,
        typed=str(form.get(TYPED, ""))[:MAX_SEALED],
    )
    await check_form(request, cookies.read(request, "form"))


PageDep = Annotated[AdminPage, Depends(get_page)]
AnyPage = Annotated[AdminPage, Depends(get_any_page)]
Browser = Annotated[Device, Depends(get_browser)]
LimitedPage = Depends(check_page_limits)
UsersPage = Annotated[AdminPage, page_for(Permission.USERS_READ)]
NewUserPage = Annotated[AdminPage, page_for(Permission.USERS_CREATE)]
InvitationsPage = Annotated[AdminPage, page_for(Permission.USERS_INVITE)]
EditUserPage = Annotated[AdminPage, page_for(Permission.USERS_READ, Permission.USERS_UPDATE)]
UserSessionsPage = Annotated[AdminPage, page_for(Permission.USERS_READ, Permission.SESSIONS_READ)]
UserHistoryPage = Annotated[AdminPage, page_for(Permission.USERS_READ, Permission.AUDIT_READ)]
EndSessionsPage = Annotated[
    AdminPage, page_for(Permission.USERS_READ, Permission.SESSIONS_READ, Permission.SESSIONS_END)
]
ExportPage = Annotated[AdminPage, page_for(Permission.USERS_EXPORT)]
JobsPage = Annotated[AdminPage, page_for(Permission.JOBS_MANAGE)]
RolesPage = Annotated[AdminPage, page_for(Permission.ROLES_MANAGE)]
UserRolesPage = Annotated[AdminPage, page_for(Permission.USERS_READ, Permission.ROLES_MANAGE)]
UserKeysPage = Annotated[AdminPage, page_for(Permission.USERS_READ, Permission.KEYS_MANAGE)]
AuditPage = Annotated[AdminPage, page_for(Permission.AUDIT_READ)]
MailPage = Annotated[AdminPage, page_for(Permission.MAIL_READ)]
RequestsPage = Annotated[AdminPage, page_for(Permission.REQUESTS_READ)]
OverviewPage = Annotated[AdminPage, Depends(get_overview_page)]
LimitedAccount = Depends(limited_account)
LoginFormChecked = Depends(check_login_form)
