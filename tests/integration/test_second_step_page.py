"""The second step of a login on the admin page."""

from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.mfa import App, execute, set_up

__all__ = ["browser"]


@pytest.fixture
async def app_of_root(root: Person) -> App:
    return await set_up(root)


async def send_code(
    browser: httpx.AsyncClient, page: httpx.Response, code: str, **changed: Any
) -> httpx.Response:
    fields = form_in(page, "/login/mfa")
    return await browser.post(f"{PAGE}/login/mfa", data=fields | {"code": code} | changed)


async def test_a_superuser_logs_in_by_two_steps(browser, root, app_of_root):
    first = await log_in(browser, root, f"{PAGE}/users?page=2")
    second = await send_code(browser, first, app_of_root.code)

    assert first.status_code == 200
    assert "<title>Second step" in first.text
    assert "set-cookie" not in first.headers
    assert (second.status_code, second.headers["Location"]) == (303, f"{PAGE}/users?page=2")
    assert "<title>Overview" in (await browser.get(PAGE)).text


async def test_a_wrong_code_is_asked_for_again(browser, root, app_of_root):
    first = await log_in(browser, root)

    wrong = await send_code(browser, first, "000000")
    right = await send_code(browser, wrong, app_of_root.code)

    assert wrong.status_code == 401
    assert "The code is wrong" in wrong.text
    assert right.status_code == 303


async def test_a_step_that_is_complete_leads_to_the_login(browser, root, app_of_root):
    first = await log_in(browser, root)
    form = await browser.get(PAGE)
    await send_code(browser, first, app_of_root.recovery_codes[0])
    await browser.get(PAGE)
    browser.cookies.clear()
    login = await browser.get(PAGE)
    again = form_in(first, "/login/mfa") | {"csrf": form_in(login, "/login")["csrf"]}

    response = await browser.post(
        f"{PAGE}/login/mfa", data=again | {"code": app_of_root.recovery_codes[1]}
    )

    assert form.status_code == 200
    assert response.status_code == 401
    assert "This login is complete already" in response.text
    assert "<title>Log in" in response.text


async def test_who_is_no_superuser_any_more_is_refused(browser, root, app_of_root, runtime):
    first = await log_in(browser, root)
    await execute(runtime, "UPDATE users SET is_superuser = false")

    response = await send_code(browser, first, app_of_root.code)

    assert response.status_code == 403
    assert "Your account may not use these pages" in response.text


async def test_the_form_of_another_browser_does_nothing(browser, root, app_of_root):
    first = await log_in(browser, root)

    response = await send_code(browser, first, app_of_root.code, csrf="x")

    assert response.status_code == 403


async def test_what_was_typed_comes_back_after_the_second_step(browser, root, app_of_root):
    """Issue 22"""
    typed = {"email": "grace@example.com"}
    refused = await browser.post(
        f"{PAGE}/users/new", data=typed, headers={"Sec-Fetch-Site": "same-origin"}
    )
    fields = {"username": root.email, "password": root.password, **form_in(refused, "/login")}
    first = await browser.post(f"{PAGE}/login", data=fields)
    wrong = await send_code(browser, first, "000000")

    resumed = await send_code(browser, wrong, app_of_root.code)

    assert resumed.status_code == 200
    assert form_in(resumed, "/users/new").items() >= typed.items()
