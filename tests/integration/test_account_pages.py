"""The pages of one's own account: login, profile, password, sessions."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.account_pages import ACCOUNT, fields_of, log_in, send
from tests.conftest import PASSWORD, Person, browsing
from tests.integration.test_api_keys import robot_of
from tests.integration.test_dashboard_page import PAGE, SESSION, browser
from tests.mfa import set_up

__all__ = ["browser"]

NEW = "another battery staple horse"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def other_browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(app, headers={"User-Agent": FIREFOX}) as other:
        other.base_url = httpx.URL("https://test")
        yield other


@pytest.fixture
async def ada_browser(browser: httpx.AsyncClient, ada: Person) -> httpx.AsyncClient:
    assert (await log_in(browser, ada)).status_code == 303
    return browser


async def test_a_plain_user_logs_in_to_their_account(browser, ada):
    answer = await log_in(browser, ada)
    page = await browser.get(ACCOUNT)

    assert (answer.status_code, answer.headers["Location"]) == (303, ACCOUNT)
    assert "<title>Your account" in page.text
    assert ada.email in page.text
    assert 'aria-label="Views"' not in page.text


async def test_the_login_page_of_the_account_leads_there(browser, ada):
    page = await browser.get(f"{ACCOUNT}/login")
    answer = await log_in(browser, ada, f"{ACCOUNT}/login")

    assert f'href="{ACCOUNT}/password-recovery"' in page.text
    assert answer.headers["Location"] == ACCOUNT


async def test_a_view_without_a_session_is_the_login_that_leads_back(browser, ada):
    answer = await log_in(browser, ada, f"{ACCOUNT}/profile")

    assert answer.headers["Location"] == f"{ACCOUNT}/profile"


@pytest.mark.parametrize("place", ["/accountx", "//account", "/docs"])
async def test_a_login_leads_to_no_other_place_and_there_needs_a_role(browser, ada, place):
    answer = await log_in(browser, ada, next=place)

    assert answer.status_code == 403
    assert SESSION not in browser.cookies


async def test_the_way_back_leads_to_no_other_host(browser, ada):
    answer = await log_in(browser, ada, next="https://evil.example/account/profile?x=1")

    assert answer.headers["Location"] == f"{ACCOUNT}/profile?x=1"


async def test_a_plain_user_completes_a_login_in_two_steps(browser, ada):
    app = await set_up(ada)
    first = await log_in(browser, ada)
    fields = fields_of(first, f"{PAGE}/login/mfa")

    second = await browser.post(f"{PAGE}/login/mfa", data=fields | {"code": app.code})

    assert (second.status_code, second.headers["Location"]) == (303, ACCOUNT)
    assert "<title>Your account" in (await browser.get(ACCOUNT)).text


async def test_a_plain_user_at_the_dashboard_reads_why_and_keeps_the_session(ada_browser):
    refused = await ada_browser.get(PAGE)
    page = await ada_browser.get(ACCOUNT)

    assert refused.status_code == 403
    assert "Your account may not use these pages" in refused.text
    assert f'href="{ACCOUNT}"' in refused.text
    assert "<title>Your account" in page.text


async def test_a_plain_user_logs_out(ada_browser):
    page = await ada_browser.get(ACCOUNT)

    answer = await ada_browser.post(f"{PAGE}/logout", data=fields_of(page, f"{PAGE}/logout"))
    after = await ada_browser.get(answer.headers["Location"])

    assert answer.headers["Location"] == ACCOUNT
    assert "You are logged out" in after.text
    assert "<title>Log in" in after.text


async def test_the_dashboard_leads_an_administrator_to_their_account(browser, root):
    await log_in(browser, root, PAGE)

    assert f'href="{ACCOUNT}"' in (await browser.get(PAGE)).text
    assert 'aria-label="Views"' in (await browser.get(ACCOUNT)).text


async def test_an_account_page_is_html_to_a_browser_and_refuses_a_program_in_json(browser):
    page = await browser.get(f"{ACCOUNT}/nothing")
    program = await browser.get(ACCOUNT, headers={"Accept": "application/json"})

    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert (program.status_code, program.json()["error"]) == (401, "login_required")


async def test_the_profile_is_changed(ada_browser, ada):
    answer = await send(ada_browser, "/profile", full_name="Ada King", username="countess")
    page = await ada_browser.get(ACCOUNT)

    me = (await ada.get("/users/me")).json()
    assert answer.headers["Location"] == ACCOUNT
    assert (me["full_name"], me["username"]) == ("Ada King", "countess")
    assert "Your profile is saved" in page.text


async def test_a_name_that_is_left_empty_is_removed_and_the_username_stays(ada_browser, ada):
    await send(ada_browser, "/profile", full_name="Ada King", username="ada")
    await send(ada_browser, "/profile", full_name="", username="ada")

    assert (await ada.get("/users/me")).json()["full_name"] is None


@pytest.mark.parametrize(
    ("username", "status", "words"),
    [("", 422, "3 to 32 letters"), ("a b", 422, "3 to 32 letters"), ("bob", 409, "taken")],
)
async def test_a_refused_profile_is_shown_again_as_typed(
    ada_browser, ada, bob, username, status, words
):
    answer = await send(ada_browser, "/profile", full_name="<Ada>", username=username)

    assert answer.status_code == status
    assert words in answer.text
    assert 'value="&lt;Ada&gt;"' in answer.text
    assert (await ada.get("/users/me")).json()["username"] == "ada"


async def test_no_other_field_is_taken_from_the_profile_form(ada_browser, ada):
    await send(
        ada_browser,
        "/profile",
        full_name="Ada King",
        username="ada",
        email="eve@example.com",
        is_superuser="true",
    )

    me = (await ada.get("/users/me")).json()
    assert (me["email"], me["is_superuser"], me["full_name"]) == (ada.email, False, "Ada King")


async def test_the_password_is_changed_and_the_other_sessions_end(ada_browser, ada, mailbox):
    answer = await send(ada_browser, "/password", current_password=PASSWORD, new_password=NEW)
    page = await ada_browser.get(ACCOUNT)

    assert answer.headers["Location"] == ACCOUNT
    assert "Your password is changed" in page.text
    assert (await ada.get("/users/me")).status_code == 401
    assert [mail.to for mail in await mailbox.receive()] == [ada.email]


@pytest.mark.parametrize(
    ("current", "new", "words"),
    [
        ("wrong", NEW, "Is not the current password"),
        (PASSWORD, "short", "characters"),
        (PASSWORD, "", "Is missing"),
        ("", "", "Is missing"),
    ],
)
async def test_a_refused_password_is_told_in_words_and_not_shown(
    ada_browser, ada, current, new, words
):
    answer = await send(ada_browser, "/password", current_password=current, new_password=new)

    assert answer.status_code == 422
    assert words in answer.text
    assert not new or f'value="{new}"' not in answer.text
    assert (await ada.get("/users/me")).status_code == 200


async def test_guesses_of_the_password_are_counted_with_those_of_the_api(ada_browser, ada):
    wrong = {"current_password": "wrong", "new_password": NEW}
    device = {"X-Device-Token": ada_browser.cookies["__Host-backend_device"]}
    for _ in range(5):
        assert (await ada.post("/auth/password", json=wrong, headers=device)).status_code == 422

    answer = await send(ada_browser, "/password", current_password=PASSWORD, new_password=NEW)

    assert answer.status_code == 429
    assert "Too many requests" in answer.text


async def test_sessions_are_named_by_device_and_one_is_ended(ada_browser, other_browser, ada):
    await log_in(other_browser, ada)
    page = await ada_browser.get(ACCOUNT)
    sessions = (await ada.get("/auth/sessions")).json()["items"]
    (firefox,) = [session for session in sessions if session["user_agent"] == FIREFOX]

    answer = await send(ada_browser, "/sessions/end", "", id=firefox["id"])

    assert "Firefox on Windows" in page.text
    assert "this device" in page.text
    assert answer.headers["Location"] == ACCOUNT
    assert "<title>Log in" in (await other_browser.get(ACCOUNT)).text
    assert "<title>Your account" in (await ada_browser.get(ACCOUNT)).text


async def test_all_other_sessions_are_ended(ada_browser, other_browser, ada):
    await log_in(other_browser, ada)
    await send(ada_browser, "/sessions/end-others", "")

    page = await ada_browser.get(ACCOUNT)

    assert "All other sessions have ended" in page.text
    assert "1 active" in page.text
    assert "<title>Log in" in (await other_browser.get(ACCOUNT)).text
    assert (await ada.get("/users/me")).status_code == 401


async def test_ending_this_session_logs_out(ada_browser, ada):
    sessions = (await ada.get("/auth/sessions")).json()["items"]
    (mine,) = [session for session in sessions if not session["is_current"]]

    await send(ada_browser, "/sessions/end", "", id=mine["id"])

    assert "You are logged out" in (await ada_browser.get(ACCOUNT)).text


async def test_no_session_of_another_user_is_ended(ada_browser, bob):
    (session,) = (await bob.get("/auth/sessions")).json()["items"]

    await send(ada_browser, "/sessions/end", "", id=session["id"])

    assert (await bob.get("/users/me")).status_code == 200


@pytest.mark.parametrize("path", ["/profile", "/password", "/sessions/end", "/sessions/end-others"])
@pytest.mark.parametrize(
    "change", [{"data": {"csrf": "x" * 43}}, {"headers": {"Origin": "null"}}], ids=str
)
async def test_a_form_that_is_not_ours_does_nothing(ada_browser, ada, path, change):
    csrf = fields_of(await ada_browser.get(f"{ACCOUNT}/profile"), f"{ACCOUNT}/profile")
    sessions = (await ada.get("/auth/sessions")).json()["items"]
    fields = {
        "full_name": "Eve",
        "username": "eve",
        "current_password": PASSWORD,
        "new_password": NEW,
        "id": sessions[0]["id"],
    }

    answer = await ada_browser.post(
        f"{ACCOUNT}{path}",
        data=fields | csrf | change.get("data", {}),
        headers=change.get("headers"),
    )

    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text
    assert (await ada.get("/users/me")).json()["username"] == "ada"
    assert len((await ada.get("/auth/sessions")).json()["items"]) == len(sessions)


async def test_the_end_of_all_sessions_tells_of_keys_which_are_none(ada_browser, ada):
    robot = await robot_of(ada)

    await send(ada_browser, "/sessions/end-others", "")
    page = await ada_browser.get(ACCOUNT)

    assert "All other sessions have ended. 1 API key still works" in page.text
    assert (await robot.get("/users/me")).status_code == 200
