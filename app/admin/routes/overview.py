"""Routes of the overview, the login and the logout."""

from typing import Annotated

from fastapi import Form, Request, Response

from app.admin.deps.pages import Browser, EnrollingPage, LoginFormChecked, OverviewPage
from app.admin.deps.services import Feed, Overviews
from app.admin.listings.overview import OverviewQuery
from app.admin.live.stream import LiveStream, wants_stream
from app.admin.login_page import (
    LoginForm,
    PasskeyLoginForm,
    SecondStepForm,
    logged_in,
    redisplay_login_on_error,
    redisplay_second_step_on_error,
    second_step_page,
)
from app.admin.navigation import OVERVIEW
from app.admin.rendering import BASE
from app.api.deps.services import Auth, PasskeyLogins, SecondStep, Sessions
from app.api.limits import Limited, by_mfa_token_of_form
from app.api.routing import Router
from app.core.limiter import by_address, limiter, rate
from app.services.auth.second_step import MfaChallenge

router = Router(prefix=BASE, include_in_schema=False)


@router.get("", name="dashboard_overview")
async def overview(page: OverviewPage, view: OverviewQuery, overviews: Overviews) -> Response:
    """The overview: figures, dependencies, traffic; or the caller's first view."""
    if page.first_url != BASE:
        return page.redirect_to(page.first_url)
    figures = await overviews.now(view.period)
    return page.render("overview/overview.html", view=view, overview=figures)


@router.get("/live", name="dashboard_live")
async def live(
    request: Request, page: OverviewPage, view: OverviewQuery, overviews: Overviews, feed: Feed
) -> Response:
    """The part of the overview that is refreshed every few seconds, or a stream of it."""
    page.require(*OVERVIEW.permissions)
    if wants_stream(request):
        return LiveStream(request, page, view, feed)
    figures = await overviews.now(view.period)
    return page.render("overview/live.html", view=view, overview=figures)


@router.post("/login", name="dashboard_login", dependencies=[LoginFormChecked, Limited])
@limiter.shared_limit(rate("login_address"), scope="login-address", key_func=by_address)
async def log_in(
    form: Annotated[LoginForm, Form()],
    auth: Auth,
    device: Browser,
    request: Request,
    response: Response,
) -> Response:
    """Log in; to the admin pages superusers and users with a role only."""
    with redisplay_login_on_error(request, form):
        password = form.password.get_secret_value()
        begun = await auth.log_in_to_page(
            form.username, password, device, needs_role=form.needs_role
        )
    if isinstance(begun, MfaChallenge):
        token = begun.mfa_token
        return second_step_page(
            request,
            200,
            response.headers,
            mfa_token=token,
            next_url=form.next,
            typed=form.typed,
        )
    return logged_in(request, response, begun, form)


@router.post("/login/mfa", name="dashboard_login_mfa", dependencies=[LoginFormChecked, Limited])
@limiter.shared_limit(rate("second_factor"), scope="second-factor", key_func=by_mfa_token_of_form)
@limiter.shared_limit(rate("login_address"), scope="login-address", key_func=by_address)
async def log_in_by_code(
    form: Annotated[SecondStepForm, Form()],
    second_step: SecondStep,
    device: Browser,
    request: Request,
    response: Response,
) -> Response:
    """Complete a login by a second factor."""
    with redisplay_second_step_on_error(request, form):
        token, code = form.mfa_token.get_secret_value(), form.code.get_secret_value()
        login = await second_step.log_in_to_page(token, code, device, needs_role=form.needs_role)
    return logged_in(request, response, login, form)


@router.post(
    "/login/passkey", name="dashboard_login_passkey", dependencies=[LoginFormChecked, Limited]
)
@limiter.shared_limit(rate("login_address"), scope="login-address", key_func=by_address)
async def log_in_by_passkey(
    form: Annotated[PasskeyLoginForm, Form()],
    passkeys: PasskeyLogins,
    device: Browser,
    request: Request,
    response: Response,
) -> Response:
    """Log in by a passkey."""
    login = await passkeys.log_in_to_page(form.credential, device, needs_role=form.needs_role)
    return logged_in(request, response, login, form)


@router.post("/logout", name="dashboard_logout")
async def log_out(page: EnrollingPage, sessions: Sessions) -> Response:
    """End the session."""
    await sessions.end(page.admin.session_id, page.admin.user_id)
    return page.logged_out()
