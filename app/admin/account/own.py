"""Routes of one's own account: profile, password and sessions."""

from fastapi import Request, Response

from app.admin import cookies
from app.admin.account.forms import (
    EditProfileForm,
    PasswordFormBody,
    ProfileFormBody,
    SessionFormBody,
)
from app.admin.deps.pages import AccountPageDep, Browser, LimitedAccount
from app.admin.deps.services import Audit, MailerDep
from app.admin.key_pages import others_ended
from app.admin.page import Notice
from app.admin.rendering import ACCOUNT
from app.admin.services.edits import naming_who
from app.admin.typed import KeepsTyped
from app.api.deps.services import ApiKeys, Auth, Sessions, Users, Verification
from app.api.limits import by_principal
from app.api.routing import Router
from app.core.limiter import limiter, rate
from app.core.pagination import PageParams
from app.schemas.audit import Target

PROFILE, PASSWORD = "account/profile.html", "account/password.html"

router = Router(prefix=ACCOUNT, include_in_schema=False)


@router.get("", name="account")
async def account(page: AccountPageDep, sessions: Sessions, mailer: MailerDep) -> Response:
    """The account and its sessions."""
    live = await sessions.of(page.admin.user_id, page.admin.session_id, PageParams())
    return page.render("account/account.html", sessions=live, sends_mail=mailer.is_available)


@router.get("/profile", name="account_profile")
async def profile(page: AccountPageDep) -> Response:
    """The form of the profile."""
    return page.render(PROFILE, form=EditProfileForm.of(page.admin.user), error=None)


@router.post("/profile", name="account_change_profile", dependencies=[KeepsTyped])
async def change_profile(
    form: ProfileFormBody, page: AccountPageDep, users: Users, audit: Audit
) -> Response:
    """Change the profile."""
    caller, user_id = page.admin, page.admin.user_id
    with page.redisplay_on_error(PROFILE, form=form):
        async with naming_who(audit, Target("user", user_id), caller):
            await users.update(user_id, form.update(), caller, known=form.known)
    return page.redirect("", Notice("Your profile is saved"))


@router.get("/password", name="account_password")
async def password(page: AccountPageDep) -> Response:
    """The form to change the password."""
    return page.render(PASSWORD, error=None)


@router.post("/password", name="account_change_password")
async def change_password(
    form: PasswordFormBody, page: AccountPageDep, auth: Auth, device: Browser, request: Request
) -> Response:
    """Change the password; the other sessions end."""
    with page.redisplay_on_error(PASSWORD):
        change = form.change()
        token = await auth.change_password(
            page.admin,
            change.current_password.get_secret_value(),
            change.new_password.get_secret_value(),
            device,
        )
    notice = Notice("Your password is changed, and your other sessions have ended")
    answer = page.redirect("", notice)
    cookies.write_device(answer, request, token)
    return answer


@router.post(
    "/email-verification/send", name="account_send_verification", dependencies=[LimitedAccount]
)
@limiter.shared_limit(rate("recovery"), scope="recovery", key_func=by_principal)
async def send_verification(page: AccountPageDep, verification: Verification) -> Response:
    """Mail a link to verify the email: one a minute is sent."""
    await verification.request(page.admin.user_id)
    return page.redirect("", Notice("A mail with a link is on its way to your email"))


@router.post("/sessions/end", name="account_end_session")
async def end_session(form: SessionFormBody, page: AccountPageDep, sessions: Sessions) -> Response:
    """End one session. One that has ended already is no error: it is what was asked for."""
    await sessions.end(form.id, page.admin.user_id)
    if form.id == page.admin.session_id:
        return page.logged_out()
    return page.redirect("", Notice("The session has ended"))


@router.post("/sessions/end-others", name="account_end_other_sessions")
async def end_other_sessions(page: AccountPageDep, sessions: Sessions, keys: ApiKeys) -> Response:
    """End all sessions but this one. API keys are no sessions: the notice tells of them."""
    user_id = page.admin.user_id
    await sessions.end_all(user_id, but=page.admin.session_id)
    return page.redirect("", Notice(others_ended(await keys.count_live(user_id))))
