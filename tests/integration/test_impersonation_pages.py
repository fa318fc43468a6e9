"""A superuser who acts as a user on the pages: its cookie, its banner, its end."""

import httpx
import pytest
from sqlalchemy import text

from tests.account_pages import ACCOUNT, fields_of
from tests.conftest import Person
from tests.impersonation import REASON
from tests.integration.test_api_keys import events
from tests.integration.test_dashboard_page import PAGE, SESSION, browser, log_in
from tests.integration.test_roles import give
from tests.mfa import make_stale

__all__ = ["browser"]
ACTING = "__Host-backend_impersonation"
END = f"{ACCOUNT}/impersonation/end"


async def begin(browser: httpx.AsyncClient, user: Person, reason: str = REASON) -> httpx.Response:
    """Act as the user, in a browser in which a superuser is logged in."""
    place = f"{PAGE}/users/{user.id}/impersonation"
    form = fields_of(await browser.get(place), place)
    return await browser.post(place, data={**form, "reason": reason})


@pytest.fixture
async def acting(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.AsyncClient:
    """The browser of a superuser who acts as ada."""
    await log_in(browser, root)
    assert (await begin(browser, ada)).status_code == 303
    return browser


async def test_it_begins_with_a_reason_and_leads_to_the_users_account(browser, root, ada, runtime):
    await log_in(browser, root)
    own = browser.cookies[SESSION]
    user = await browser.get(f"{PAGE}/users/{ada.id}")

    answer = await begin(browser, ada)
    page = await browser.get(answer.headers["Location"])

    assert f'href="{PAGE}/users/{ada.id}/impersonation"' in user.text
    assert answer.headers["Location"] == ACCOUNT
    assert "You act as <strong>ada</strong>, read-only, until" in page.text
    assert ada.email in page.text
    assert root.email not in page.text
    assert browser.cookies[SESSION] == own
    (cookie,) = [c for c in answer.headers.get_list("Set-Cookie") if c.startswith(ACTING)]
    expected = {"HttpOnly", "Path=/", "SameSite=strict", "Secure", "Max-Age=3600"}
    assert set(cookie.split("; ")[1:]) == expected
    (event,) = await events(runtime, "impersonation.started")
    assert event["after"]["is_read_only"] is True


async def test_without_a_reason_the_form_is_shown_again(browser, root, ada):
    await log_in(browser, root)

    answer = await begin(browser, ada, " x ")

    assert (answer.status_code, "Not begun: see below" in answer.text) == (422, True)
    assert ACTING not in browser.cookies


async def test_a_superuser_is_not_offered_and_refused(browser, root):
    await log_in(browser, root)

    page = await browser.get(f"{PAGE}/users/{root.id}")
    answer = await begin(browser, root)

    assert "Act as this user" not in page.text
    assert (answer.status_code, "Nobody can act as a superuser" in answer.text) == (403, True)


async def test_it_needs_a_confirmation_first(browser, root, ada, runtime):
    await log_in(browser, root)
    await make_stale(runtime)

    answer = await browser.get(f"{PAGE}/users/{ada.id}/impersonation")

    assert answer.headers["Location"].startswith(f"{ACCOUNT}/confirm?next=")


async def test_every_page_has_the_banner_also_an_error(acting, root, ada):
    await give(root, ada, "users:read")
    places = {
        ACCOUNT: 200,
        f"{ACCOUNT}/security": 200,
        f"{PAGE}/users": 200,
        f"{PAGE}/users/4711": 404,
        f"{PAGE}/roles": 403,
    }

    pages = {place: await acting.get(place) for place in places}

    assert {place: page.status_code for place, page in pages.items()} == places
    for page in pages.values():
        assert "You act as <strong>ada</strong>" in page.text
        assert END in page.text
        assert "Log out" not in page.text


async def test_a_page_that_is_not_there_shows_no_other_account(acting, root):
    page = await acting.get(f"{PAGE}/nothing")

    assert (page.status_code, root.email in page.text) == (404, False)


@pytest.mark.parametrize("path", ["/profile", "/password", "/sessions/end-others", "/deletion"])
async def test_no_form_is_accepted(acting, ada, path):
    form = fields_of(await acting.get(ACCOUNT), END)

    answer = await acting.post(f"{ACCOUNT}{path}", data={**form, "full_name": "Eve"})

    assert answer.status_code == 403
    assert "You act as another user, read-only" in answer.text
    assert (await ada.get("/users/me")).json()["full_name"] is None


async def test_one_click_ends_it_and_needs_no_new_login(acting, root, ada, runtime):
    form = fields_of(await acting.get(ACCOUNT), END)
    token = acting.cookies[ACTING]

    answer = await acting.post(END, data=form)
    page = await acting.get(answer.headers["Location"])
    again = await acting.get(ACCOUNT, headers={"Cookie": f"{ACTING}={token}"})

    assert answer.headers["Location"] == f"{PAGE}/users/{ada.id}"
    assert "You act as yourself again" in page.text
    assert root.email in page.text
    assert ACTING not in acting.cookies
    assert again.headers["Location"] == PAGE
    (event,) = await events(runtime, "impersonation.ended")
    assert (event["actor"], event["impersonator_id"]) == (f"user:{ada.id}", root.id)
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_form_of_another_site_does_not_end_it(acting):
    form = fields_of(await acting.get(ACCOUNT), END)

    statuses = [
        (await acting.post(END, data=data, headers=headers)).status_code
        for data, headers in (({}, {}), (form, {"Sec-Fetch-Site": "cross-site"}))
    ]

    assert statuses == [403, 403]
    assert "You act as" in (await acting.get(ACCOUNT)).text


async def test_a_form_of_ones_own_that_is_sent_meanwhile_does_nothing(browser, root, ada):
    await log_in(browser, root)
    place = f"{PAGE}/users/{ada.id}/edit"
    form = fields_of(await browser.get(place), place)
    await begin(browser, ada)

    answer = await browser.post(place, data={**form, "email": ada.email, "username": "eve"})

    assert answer.status_code == 403
    assert (await ada.get("/users/me")).json()["username"] == "ada"


@pytest.mark.parametrize("is_by_script", [False, True])
async def test_after_its_end_elsewhere_the_browser_is_the_superusers_again(
    acting, ada, is_by_script
):
    await ada.post("/auth/logout-all")

    answer = await acting.get(ACCOUNT, headers={"HX-Request": "true"} if is_by_script else {})
    page = await acting.get(PAGE)

    location = answer.headers["HX-Redirect" if is_by_script else "Location"]
    assert (answer.status_code, location) == (200 if is_by_script else 303, PAGE)
    assert ACTING not in acting.cookies
    assert "You act as yourself again" in page.text


async def test_after_the_superusers_own_logout_it_is_over(acting, root, runtime):
    await root.post("/auth/logout-all")

    answer = await acting.get(ACCOUNT)
    page = await acting.get(answer.headers["Location"])

    assert answer.headers["Location"] == PAGE
    assert "<title>Log in" in page.text
    async with runtime.engine.connect() as connection:
        query = "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND user_id = 1"
        assert await connection.scalar(text(query)) == 0


async def test_a_login_in_the_same_browser_ends_its_cookie(acting, bob):
    acting.cookies.delete(SESSION)
    form = {"csrf": "", "next": ACCOUNT}
    page = await acting.get(f"{ACCOUNT}/login")
    form = fields_of(page, f"{PAGE}/login")

    await acting.post(
        f"{PAGE}/login", data={**form, "username": bob.email, "password": bob.password}
    )

    assert ACTING not in acting.cookies
    assert bob.email in (await acting.get(ACCOUNT)).text


async def test_its_cookie_is_no_bearer_token_and_its_bearer_token_no_cookie(acting, root, ada):
    cookie = acting.cookies[ACTING]
    body = {"reason": REASON}
    bearer = (await root.post(f"/users/{ada.id}/impersonation", json=body)).json()["access_token"]

    as_bearer = await acting.get("/api/v1/users/me", headers={"Authorization": f"Bearer {cookie}"})
    acting.cookies.clear()
    as_cookie = await acting.get(ACCOUNT, headers={"Cookie": f"{ACTING}={bearer}"})

    assert (as_bearer.status_code, as_cookie.status_code) == (401, 303)


async def test_the_lists_of_sessions_say_what_it_is(acting, browser, root, ada):
    own = (await acting.get(ACCOUNT)).text
    await acting.post(END, data=fields_of(await acting.get(ACCOUNT), END))
    await begin(acting, ada)
    acting.cookies.delete(ACTING)
    sessions = (await acting.get(f"{PAGE}/users/{ada.id}/sessions")).text
    history = (await acting.get(f"{PAGE}/users/{ada.id}/history")).text

    assert "An administrator who acts as you" in own
    assert "A superuser who acts as the user" in sessions
    assert "in fact by user 1" in history


async def test_the_end_of_none_ends_no_session(browser, root):
    await log_in(browser, root)
    form = fields_of(await browser.get(PAGE), f"{PAGE}/logout")

    answer = await browser.post(END, data=form)
    page = await browser.get(answer.headers["Location"])

    assert (answer.status_code, answer.headers["Location"]) == (303, ACCOUNT)
    assert root.email in page.text
