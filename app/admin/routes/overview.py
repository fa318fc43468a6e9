"""The admin page: how things are, and the way in and out."""

from fastapi import Request, Response

from app.admin.deps import FromOurLoginPage, Login, OverviewPage, PageDep
from app.admin.login_page import enter
from app.admin.services import Overviews
from app.api.limits import by_username
from app.api.routing import Router
from app.api.types import Auth, ClientDevice, Limited, Sessions
from app.core.limiter import by_address, limiter, rate

router = Router(prefix="/dashboard", include_in_schema=False)


@router.get("", name="dashboard_overview")
async def overview(page: OverviewPage, overviews: Overviews) -> Response:
    """How things are."""
    return page.render("dashboard/overview.html", overview=await overviews.now())


@router.get("/live", name="dashboard_live")
async def live(page: OverviewPage, overviews: Overviews) -> Response:
    """The part of it that changes."""
    return page.render("dashboard/live.html", overview=await overviews.now())


@router.post("/login", name="dashboard_login", dependencies=[FromOurLoginPage, Limited])
@limiter.shared_limit(rate("login"), scope="login", key_func=by_username)
@limiter.shared_limit(rate("login_address"), scope="login-address", key_func=by_address)
async def log_in(
    form: Login, auth: Auth, device: ClientDevice, request: Request, response: Response
) -> Response:
    """Log in; superusers only."""
    token = await auth.log_in_to_page(form.username, form.password.get_secret_value(), device)
    return enter(request, response, token, form.next)


@router.post("/logout", name="dashboard_logout")
async def log_out(page: PageDep, sessions: Sessions) -> Response:
    """End the session."""
    await sessions.end(page.visitor.session_id, page.visitor.user_id)
    return page.leave()
