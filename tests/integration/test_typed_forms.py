"""Nothing typed is lost: a form comes back after a login, an outage, or in another session."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest
from pydantic import SecretStr

from app.runtime import Runtime
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.integration.test_dashboard_page import PAGE, SESSION, browser, form_in, log_in
from tests.integration.test_edit_form import fields_of
from tests.integration.test_roles import new_role
from tests.tcp_proxy import TcpProxy, proxied

__all__ = ["browser"]
OURS = {"Sec-Fetch-Site": "same-origin"}
NEW = {"email": "grace@example.com", "full_name": 'Grace "<Hopper>"', "password": PASSWORD}
FORMS = {
    "new user": ("/users/new", {"full_name": "Grace"}),
    "user": ("/users/2/edit", {"full_name": "Ada King"}),
    "new role": ("/roles/new", {"name": "helpers", "permissions": "users:read"}),
    "role": ("/roles/1", {"name": "helpers"}),
    "roles of a user": ("/users/2/roles", {"roles": "support"}),
    "key of a user": ("/users/2/keys", {"name": "Nightly export"}),
    "invitation": ("/invitations/new", {"email": "grace@example.com"}),
}


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
        "/roles",
        "/users/invitations",
        "/users/2/roles",
        "/users/2/api-keys",
    )
    return [(await root.get(place)).json() for place in places]


@pytest.mark.parametrize("form", FORMS)
async def test_a_form_comes_back_as_it_was_after_a_login(admin, root, form):
    """Issue 22: whose session had ended in the middle of a form began again."""
    place, typed = FORMS[form]
    fields = {**fields_of(await admin.get(f"{PAGE}{place}")), **typed}
    await root.post("/auth/logout-all")
    await root.login()
    before = await state(root)

    refused = await post(admin, f"{PAGE}{place}", list(fields.items()))
    resumed = await log_in_at(admin, refused, root)
    back = await post(admin, f"{PAGE}{place}", hidden(resumed, f"{PAGE}{place}"))

    shown = fields_of(back)
    assert (refused.status_code, resumed.status_code, back.status_code) == (401, 200, 200)
    assert "What you typed is kept" in refused.text
    assert "Not saved yet: your session had ended" in back.text
    assert await state(root) == before
    for name, value in typed.items():
        assert shown[name] == value or f'value="{value}" checked' in back.text
    saved = await post(admin, f"{PAGE}{place}", list({**shown, **typed, **secret(form)}.items()))
    assert saved.status_code in {200, 201, 303}
    assert "Not saved" not in saved.text
    assert await state(root) != before


def secret(form: str) -> dict[str, str]:
    return {"password": PASSWORD, "email": "g@example.com"} if form == "new user" else {}


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
