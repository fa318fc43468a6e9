"""Nothing typed is lost: a form comes back after a login, an outage, or in another session."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest
from pydantic import SecretStr

from app.core.exceptions import ServiceUnavailableException, StatementTimeoutException
from app.runtime import Runtime
from app.services.invitations.acceptance import InvitationAcceptance
from tests.account_pages import fields_of as account_fields_of
from tests.account_pages import open_link
from tests.authenticator import PASSKEYS, Authenticator, register
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.integration.test_dashboard_page import PAGE, SESSION, browser, form_in, log_in
from tests.integration.test_edit_form import fields_of
from tests.integration.test_roles import new_role
from tests.integration.test_security_page import log_in_by_passkey
from tests.mfa import make_stale
from tests.tcp_proxy import TcpProxy, proxied

__all__ = ["browser"]
OURS = {"Sec-Fetch-Site": "same-origin"}
NEW = {"email": "grace@example.com", "full_name": 'Grace "<Hopper>"', "password": PASSWORD}
FORMS = {
    "new user": ("dashboard_create_user", f"{PAGE}/users/new", {"full_name": "Grace"}),
    "user": ("dashboard_update_user", f"{PAGE}/users/2/edit", {"full_name": "Ada King"}),
    "new role": (
        *("dashboard_create_role", f"{PAGE}/roles/new"),
        {"name": "helpers", "permissions": "users:read"},
    ),
    "role": ("dashboard_update_role", f"{PAGE}/roles/1", {"name": "helpers"}),
    "roles of a user": ("dashboard_set_user_roles", f"{PAGE}/users/2/roles", {"roles": "support"}),
    "key of a user": ("dashboard_create_user_key", f"{PAGE}/users/2/keys", {"name": "Export"}),
    "invitation": (
        *("dashboard_send_invitation", f"{PAGE}/invitations/new"),
        {"email": "grace@example.com"},
    ),
    "new view": (
        *("dashboard_save_view", f"{PAGE}/users/views/new?is_active=true"),
        {"name": "Active ones"},
    ),
    "view": ("dashboard_rename_view", f"{PAGE}/users/views/1", {"name": "Others"}),
    "impersonation": (
        *("dashboard_impersonate", f"{PAGE}/users/2/impersonation"),
        {"reason": "Case 4711"},
    ),
    "profile": ("account_change_profile", "/account/profile", {"full_name": "Root King"}),
    "email": ("account_request_email_change", "/account/email", {"email": "new@example.com"}),
    "key": ("account_create_key", "/account/keys", {"name": "Export"}),
}
"""Name of the route, place, and what is typed."""
SECRETS = {
    "new user": {"password": PASSWORD, "email": "g@example.com"},
    "email": {"current_password": PASSWORD},
}
"""What is typed once more."""
UNSEEN = {"impersonation", "email"}
"""Forms that change nothing that `state` has."""


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.AsyncClient:
    await new_role(root, "support", "users:read")
    await log_in(browser, root)
    await browser.get(PAGE)
    browser.headers.update(OURS)
    return browser


def hidden(page: httpx.Response, action: str) -> list[tuple[str, str]]:
    """The hidden fields of the form that goes to `action`."""
    (form,) = re.findall(
        rf'<form[^>]*action="{re.escape(action)}"[^>]*data-typed.*?</form>', page.text, re.DOTALL
    )
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return [(name, unescape(value)) for name, value in found]


async def post(admin: httpx.AsyncClient, url: str, fields: list[tuple[str, str]]) -> httpx.Response:
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    return await admin.post(url, data=data)


async def log_in_at(
    admin: httpx.AsyncClient, page: httpx.Response, root: Person, **changed: str
) -> httpx.Response:
    """Log in by the login page that was shown in place of a form."""
    fields = {"username": root.email, "password": PASSWORD, **form_in(page, "/login")}
    return await admin.post(f"{PAGE}/login", data={**fields, **changed})


async def state(root: Person) -> list[object]:
    places = (
        "/users?sort_by=email",
        "/api-keys",
        "/roles",
        "/users/invitations",
        "/users/2/roles",
        "/users/2/api-keys",
    )
    views = (await root.get("/users/me/export")).json()["saved_views"]
    return [views, *[(await root.get(place)).json() for place in places]]


@pytest.mark.parametrize("form", FORMS)
async def test_a_form_comes_back_as_it_was_after_a_login(admin, root, form):
    """Issue 22: whose session had ended in the middle of a form began again."""
    _, place, typed = FORMS[form]
    if form == "view":
        await admin.post(f"{PAGE}/users/views/new?is_active=true", data=await view_of(admin))
    fields = {**fields_of(await admin.get(place)), **typed, **SECRETS.get(form, {})}
    await root.post("/auth/logout-all")
    await root.login()
    before = await state(root)

    refused = await post(admin, place, list(fields.items()))
    resumed = await log_in_at(admin, refused, root)
    back = await post(admin, place, hidden(resumed, place))

    shown = fields_of(back)
    assert (refused.status_code, resumed.status_code, back.status_code) == (401, 200, 200)
    assert "What you typed is kept" in refused.text
    assert "Not saved yet: your session had ended" in back.text
    assert PASSWORD not in refused.text + resumed.text + back.text
    assert await state(root) == before
    for name, value in typed.items():
        assert shown[name] == value or f'value="{value}" checked' in back.text
    saved = await post(admin, place, list({**shown, **typed, **SECRETS.get(form, {})}.items()))
    assert saved.status_code in {200, 201, 303}
    assert "Not saved" not in saved.text
    assert form in UNSEEN or await state(root) != before


async def view_of(admin: httpx.AsyncClient) -> dict[str, str]:
    form = fields_of(await admin.get(f"{PAGE}/users/views/new?is_active=true"))
    return {**form, "name": "Active ones"}


async def test_a_form_of_a_plain_user_comes_back(browser, ada):
    await log_in(browser, ada, "/account/profile")
    headers = {**OURS, "Referer": "https://test/account/profile"}
    fields = fields_of(await browser.get("/account/profile"))
    await ada.post("/auth/logout-all")

    refused = await browser.post(
        "/account/profile", data={**fields, "full_name": "Ada King"}, headers=headers
    )
    resumed = await log_in_at(browser, refused, ada)

    assert ("full_name", "Ada King") in hidden(resumed, "/account/profile")


async def test_the_new_name_of_a_passkey_comes_back(browser, root):
    key = Authenticator()
    await register(root, key)
    await log_in_by_passkey(browser, root, key)
    place, session = "/account/security/passkeys/1/rename", browser.cookies[SESSION]
    fields = {**fields_of(await browser.get(place)), "name": "Laptop"}
    browser.cookies.delete(SESSION)

    refused = await browser.post(place, data=fields, headers=OURS)
    browser.cookies[SESSION] = session
    back = await browser.post(place, data={**fields, "draft": "true"}, headers=OURS)

    assert refused.status_code == 401
    assert form_in(refused, "/login")["typed"]
    assert fields_of(back)["name"] == "Laptop"
    assert "Phone" in (await root.get(PASSKEYS)).text


async def test_the_name_of_a_new_passkey_survives_a_login_and_a_confirmation(admin, root, runtime):
    place = "/account/security/passkeys"
    await root.post("/auth/logout-all")
    refused = await admin.post(place, data={"name": "Phone & watch", "credential": '{"id": "x"}'})
    resumed = await log_in_at(admin, refused, root)
    back = await post(admin, place, hidden(resumed, place))
    await make_stale(runtime)
    token = dict(hidden(resumed, place))["csrf"]
    stale = await admin.post(place, data={"name": "Phone & watch", "csrf": token})
    (url,) = re.findall(r'href="(/account/confirm\?next=[^"]*)"', stale.text)
    confirm = await admin.get(unescape(url))

    assert {name for name, _ in hidden(resumed, place)} == {"csrf", "draft", "name"}
    assert back.status_code == 200
    assert 'name="name" value="Phone &amp; watch"' in back.text
    assert stale.status_code == 403
    assert 'name="next" value="/account/security?name=Phone+%26+watch"' in confirm.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ServiceUnavailableException(), 503, "Not done: "),
        (RuntimeError("a fault of ours"), 500, "Not done: "),
        (StatementTimeoutException(), 504, "It may have been done: "),
    ],
    ids=str,
)
async def test_the_form_of_an_invitation_comes_back_after_a_failure(
    browser, monkeypatch, error, status, words
):
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(InvitationAcceptance, "accept", fail)
    page = await open_link(browser, "/invitation", "a" * 43)
    fields = {**account_fields_of(page, "/account/invitation"), "full_name": "Grace & co"}

    answer = await browser.post("/account/invitation", data={**fields, "password": PASSWORD})

    assert answer.status_code == status
    assert words in answer.text
    assert 'name="full_name" type="text" value="Grace &amp; co"' in answer.text
    assert account_fields_of(answer, "/account/invitation")["token"] == "a" * 43
    assert PASSWORD not in answer.text


async def test_no_password_comes_back(admin, root):
    token = fields_of(await admin.get(f"{PAGE}/users/new"))["csrf"]
    await root.post("/auth/logout-all")

    refused = await admin.post(f"{PAGE}/users/new", data={**NEW, "csrf": token})
    resumed = await log_in_at(admin, refused, root)

    names = {name for name, _ in hidden(resumed, f"{PAGE}/users/new")}
    assert names == {"csrf", "draft", "email", "full_name"}
    assert PASSWORD not in refused.text + resumed.text


async def test_a_wrong_password_does_not_lose_what_was_typed(admin, root):
    await root.post("/auth/logout-all")

    refused = await admin.post(f"{PAGE}/users/new", data=NEW)
    wrong = await log_in_at(admin, refused, root, password="wrong")
    resumed = await log_in_at(admin, wrong, root)

    assert wrong.status_code == 401
    assert ("email", "grace@example.com") in hidden(resumed, f"{PAGE}/users/new")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
async def test_a_form_of_another_site_is_not_kept(browser, root, headers):
    refused = await browser.post(f"{PAGE}/users/new", data=NEW, headers=headers)
    answer = await log_in_at(browser, refused, root)

    assert "grace@example.com" not in refused.text
    assert answer.status_code == 303


@pytest.mark.parametrize("value", ["x", "", "é", "a" * 50_000])
async def test_what_was_not_sealed_by_us_is_ignored(browser, root, runtime, value):
    login = await browser.get(PAGE)

    answer = await log_in_at(browser, login, root, typed=value)

    assert answer.status_code == (422 if len(value) > 48_000 else 303)


@pytest.mark.parametrize(
    "content", [["typed"], ["a notice", "success"], ["typed", "/", [["a"]]], 5]
)
async def test_what_was_sealed_for_another_purpose_is_ignored(browser, root, runtime, content):
    login = await browser.get(PAGE)

    answer = await log_in_at(browser, login, root, typed=runtime.forms.seal(content))

    assert answer.status_code == 303


async def test_more_than_any_form_of_ours_has_is_not_kept(admin, root):
    await root.post("/auth/logout-all")

    refused = await admin.post(f"{PAGE}/users/new", data={"full_name": "é" * 10_500, "email": "a"})

    assert refused.status_code == 401
    assert form_in(refused, "/login").get("typed", "") == ""


async def test_a_form_of_an_older_session_comes_back_in_the_new_one(admin, root):
    """It belonged to the session before, and was refused with everything that was typed."""
    old = fields_of(await admin.get(f"{PAGE}/users/2/edit"))
    await log_in(admin, root, "/account/login", next=f"{PAGE}/users")

    refused = await admin.post(f"{PAGE}/users/2/edit", data={**old, "full_name": "Ada King"})
    back = await post(admin, f"{PAGE}/users/2/edit", hidden(refused, f"{PAGE}/users/2/edit"))
    saved = await admin.post(f"{PAGE}/users/2/edit", data=fields_of(back))

    assert (refused.status_code, back.status_code, saved.status_code) == (403, 200, 303)
    assert (await root.get("/users/2")).json()["full_name"] == "Ada King"


@pytest.fixture
async def breakable(client, settings) -> AsyncIterator[tuple[httpx.AsyncClient, TcpProxy, Runtime]]:
    """A browser at a service whose database can be taken away; the user 2 is `ada`."""
    async with proxied(settings.database.url.get_secret_value()) as proxy:
        changed = settings.replaced(database={"url": SecretStr(proxy.url)})
        async with running(changed) as app, browsing(app) as browser:
            browser.base_url = httpx.URL("https://test")
            runtime: Runtime = app.state.runtime
            root = await person(browser, runtime, "root", is_superuser=True)
            await person(browser, runtime, "ada")
            await log_in(browser, root)
            browser.headers.update(OURS)
            yield browser, proxy, runtime


@pytest.mark.parametrize("was_seen", [True, False])
async def test_a_form_is_sent_again_after_an_outage(breakable, was_seen):
    """Issue 22: an outage answered by a page without what was typed."""
    browser, database, runtime = breakable
    place = f"{PAGE}/users/2/edit"
    fields = fields_of(await browser.get(place))
    database.close()
    await runtime.cache.redis.flushdb()  # which knows the session as well
    if not was_seen:
        runtime.page_sessions._seen.clear()

    failed = await browser.post(place, data={**fields, "full_name": "Ada King"})
    await database.open()
    saved = await post(browser, place, hidden(failed, place))

    assert failed.status_code == 503
    assert "Send again" in failed.text
    assert saved.status_code == 303
    user = (await browser.get(saved.headers["Location"])).text
    assert "Ada King" in user
    assert SESSION in browser.cookies
