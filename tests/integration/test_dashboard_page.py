"""The admin page without a browser: the way in and out, its cookies and forms, and refusals."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.admin.assets import assets
from app.models import Session
from tests.conftest import PASSWORD, Person, browsing

PAGE = "/api/v1/dashboard"
SESSION, STRANGER = "__Host-backend_session", "__Host-backend_form"


@pytest.fixture
async def browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, as a browser does, and so speaks https."""
    async with browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        yield browser


def form_in(page: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of the form that goes to `action`."""
    form = re.search(rf'<form[^>]*action="{PAGE}{action}"(.*?)</form>', page.text, re.DOTALL)
    assert form is not None, page.text
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
    return {name: unescape(value) for name, value in hidden}


async def log_in(
    browser: httpx.AsyncClient, person: Person, place: str = PAGE, **changed: Any
) -> httpx.Response:
    login = await browser.get(place)
    fields = {"username": person.email, "password": PASSWORD, **form_in(login, "/login")}
    return await browser.post(f"{PAGE}/login", data={**fields, **changed})


async def test_the_front_door_leads_a_browser_to_the_dashboard(client):
    response = await client.get("/")

    assert (response.status_code, response.headers["Location"]) == (307, PAGE)


async def test_a_superuser_logs_in_and_sees_the_overview(browser, root):
    answer = await log_in(browser, root)
    page = await browser.get(PAGE)

    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert "<title>Overview" in page.text
    assert root.email in page.text


async def test_the_cookie_is_of_this_host_alone_and_no_script_sees_it(browser, root):
    answer = await log_in(browser, root)

    (cookie,) = [c for c in answer.headers.get_list("Set-Cookie") if c.startswith(SESSION)]
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=strict", "Secure"}


async def test_the_cookie_is_no_bearer_token_and_a_bearer_token_no_cookie(browser, root):
    await log_in(browser, root)
    cookie = browser.cookies[SESSION]

    as_bearer = await browser.get("/api/v1/users/me", headers={"Authorization": f"Bearer {cookie}"})
    browser.cookies.clear()
    as_cookie = await browser.get(
        PAGE, headers={"Cookie": f"{SESSION}={root.tokens['access_token']}"}
    )
    as_header = await browser.get(
        PAGE, headers={"Authorization": f"Bearer {root.tokens['access_token']}"}
    )

    assert as_bearer.status_code == 401
    assert "<title>Log in" in as_cookie.text
    assert "<title>Log in" in as_header.text


async def test_a_plain_user_is_refused_in_words_and_has_no_session_left(browser, ada):
    answer = await log_in(browser, ada)

    sessions = (await ada.get("/auth/sessions")).json()["items"]
    assert answer.status_code == 403
    assert "Your account may not use these pages" in answer.text
    assert 'href="/account"' in answer.text
    assert SESSION not in browser.cookies
    assert len(sessions) == 1  # their own, of the API


async def test_an_unknown_account_and_a_wrong_password_have_the_same_response(browser, root):
    wrong = await log_in(browser, root, password="wrong")
    unknown = await log_in(browser, root, username="nobody@example.com")

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text.replace("nobody@example.com", root.email)
    assert "Incorrect email or password" in wrong.text


async def test_logging_out_ends_the_session(browser, root):
    await log_in(browser, root)
    cookie = browser.cookies[SESSION]
    page = await browser.get(PAGE)

    answer = await browser.post(f"{PAGE}/logout", data=form_in(page, "/logout"))
    after = await browser.get(PAGE)
    again = await browser.get(PAGE, headers={"Cookie": f"{SESSION}={cookie}"})

    assert answer.status_code == 303
    assert "You are logged out" in after.text
    assert SESSION not in browser.cookies
    assert "<title>Log in" in again.text


async def test_the_session_is_one_like_any_other_and_ends_from_elsewhere(browser, root):
    await log_in(browser, root)
    sessions = (await root.get("/auth/sessions")).json()["items"]
    (page_session,) = [session for session in sessions if not session["is_current"]]

    await root.delete(f"/auth/sessions/{page_session['id']}")
    page = await browser.get(f"{PAGE}?of=something")

    assert "Your session has ended" in page.text
    assert form_in(page, "/login")["next"] == f"{PAGE}?of=something"


async def test_a_part_of_a_view_without_a_session_has_the_view_loaded_anew(browser):
    part = await browser.get(f"{PAGE}/live", headers={"HX-Request": "true"})

    assert (part.headers["HX-Refresh"], part.text) == ("true", "")


async def test_a_session_in_use_lives_longer_and_never_past_its_absolute_end(
    browser, root, runtime
):
    await log_in(browser, root)
    auth, now = runtime.settings.auth, datetime.now(UTC)
    begun = now - timedelta(seconds=auth.session_ttl - 600)

    async def seen(created_at: datetime) -> float:
        """Seconds that it lives on after a visit, a good while after the last one."""
        async with runtime.session_maker() as db:
            await db.execute(
                update(Session).values(
                    created_at=created_at,
                    last_seen_at=now - timedelta(hours=1),
                    expires_at=now + timedelta(seconds=60),
                )
            )
            await db.commit()
        await runtime.cache.redis.flushall()
        assert "<title>Overview" in (await browser.get(PAGE)).text
        sessions = (await root.get("/auth/sessions")).json()["items"]
        ends = max(datetime.fromisoformat(session["expires_at"]) for session in sessions)
        return (ends - now).total_seconds()

    assert await seen(now) == pytest.approx(auth.refresh_ttl, abs=30)
    assert await seen(begun) == pytest.approx(600, abs=30)


@pytest.mark.parametrize(
    "place",
    ["https://evil.example/api/v1/dashboard", "//evil.example", "/docs", "/api/v1/dashboardx", ""],
)
async def test_the_way_back_leads_nowhere_else(browser, root, place):
    answer = await log_in(browser, root, next=place)

    assert answer.headers["Location"] == PAGE


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"csrf": ""}},
        {"data": {"csrf": "x" * 43}},
        {"headers": {"Sec-Fetch-Site": "cross-site"}},
        {"headers": {"Sec-Fetch-Site": "same-site"}},
        {"headers": {"Origin": "https://evil.example"}},
        {"headers": {"Origin": "null"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("action", ["/login", "/logout"])
async def test_a_form_that_is_not_ours_does_nothing(browser, root, action, change):
    if action == "/logout":
        await log_in(browser, root)
    fields = form_in(await browser.get(PAGE), action)
    credentials = {"username": root.email, "password": PASSWORD}

    answer = await browser.post(
        f"{PAGE}{action}",
        data={**credentials, **fields, **change.get("data", {})},
        headers=change.get("headers"),
    )

    page = await browser.get(PAGE)
    assert answer.status_code == 403
    assert ("<title>Overview" in page.text) == (action == "/logout")


async def test_another_sessions_form_token_is_refused(browser, app, root):
    await log_in(browser, root)
    async with browsing(app) as other:
        other.base_url = browser.base_url
        await log_in(other, root)
        theirs = form_in(await other.get(PAGE), "/logout")

    answer = await browser.post(f"{PAGE}/logout", data=theirs)

    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text


async def test_a_browser_that_refuses_cookies_is_told_that_they_are_needed(browser, root):
    fields = form_in(await browser.get(PAGE), "/login")
    browser.cookies.clear()

    answer = await browser.post(
        f"{PAGE}/login", data={"username": root.email, "password": PASSWORD, **fields}
    )

    assert answer.status_code == 403
    assert "needs cookies" in answer.text


async def test_logins_by_the_page_and_by_the_api_are_counted_together(browser, client, root):
    for _ in range(5):
        await client.post("/api/v1/auth/token", data={"username": root.email, "password": "wrong"})

    answer = await log_in(browser, root)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Too many requests" in answer.text
    assert "<title>Log in" in answer.text


async def test_a_login_without_a_password_is_the_login_page_again(browser, root):
    fields = form_in(await browser.get(PAGE), "/login")

    answer = await browser.post(f"{PAGE}/login", data={"username": root.email, **fields})

    assert answer.status_code == 422
    assert "Some values are not valid" in answer.text
    assert "<title>Log in" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "", 405), ("POST", "/login", 403)],
)
async def test_a_refusal_is_a_page_to_a_browser_and_json_to_a_program(
    browser, method, path, status
):
    page = await browser.request(method, f"{PAGE}{path}", headers={"Accept": "text/html"})
    api = await browser.request(method, f"{PAGE}{path}", headers={"Accept": "application/json"})

    assert page.status_code == api.status_code == status
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["X-Request-ID"]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert set(api.json()) == {"error", "message", "details", "request_id"}


async def test_the_statistics_refuse_a_browser_in_json(browser):
    response = await browser.get(f"{PAGE}/stats", headers={"Accept": "text/html"})

    assert (response.status_code, response.json()["error"]) == (401, "unauthorized")


async def test_markup_in_what_was_typed_is_shown_as_text(browser, root):
    answer = await log_in(browser, root, username='"><script>alert(1)</script>')

    assert answer.status_code == 401
    assert "<script>alert" not in answer.text


async def test_static_files_are_kept_for_good_under_the_address_of_their_content(client):
    kept = await client.get(f"/static/{assets.version}/page.css")
    other = await client.get("/static/000000000000/page.css")

    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["Content-Type"].startswith("text/css")
    assert other.headers["Cache-Control"] == "no-store"
    assert other.content == kept.content


@pytest.mark.parametrize("name", ["nothing.css", "../page.css", "vendor/README.md", "%2e%2e/x"])
async def test_no_other_file_is_served(client, name):
    assert (await client.get(f"/static/{assets.version}/{name}")).status_code == 404
