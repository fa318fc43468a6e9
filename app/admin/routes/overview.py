"""Routes of the overview, the login and the logout."""

from typing import Annotated

from fastapi import Form, Request, Response

from app.admin.deps import LoginFormChecked, OverviewPage, Overviews, PageDep
from app.admin.login_page import LoginForm, logged_in, redisplay_login_on_error
from app.admin.rendering import BASE
from app.api.deps.request import ClientDevice
from app.api.deps.services import Auth, Sessions
from app.api.limits import Limited, by_username
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate

router = Router(prefix=BASE, include_in_schema=False)


@router.get("", name="dashboard_overview")
async def overview(page: OverviewPage, overviews: Overviews) -> Response:
    """The overview: figures, dependencies, traffic."""
    return page.render("overview/overview.html", overview=await overviews.now())


@router.get("/live", name="dashboard_live")
async def live(page: OverviewPage, overviews: Overviews) -> Response:
    """The part of the overview that is refreshed every few seconds."""
    return page.render("overview/live.html", overview=await overviews.now())


@router.post("/login", name="dashboard_login", dependencies=[LoginFormChecked, Limited])
@limiter.shared_limit(rate("login"), scope="login", key_func=by_username)
@limiter.shared_limit(rate("login_address"), scope="login-address", key_func=by_address)
async def log_in(
    form: Annotated[LoginForm, Form()],
    auth: Auth,
    device: ClientDevice,
    request: Request,
    response: Response,
) -> Response:
    """Log in; superusers only."""
    with redisplay_login_on_error(request, form):
        password = form.password.get_secret_value()
        token = await auth.log_in_to_page(form.username, password, device)
    return logged_in(request, response, token, form.next)


@router.post("/logout", name="dashboard_logout")
async def log_out(page: PageDep, sessions: Sessions) -> Response:
    """End the session."""
    await sessions.end(page.admin.session_id, page.admin.user_id)
    return page.logged_out()
