"""Errors of the admin pages: in the frame of who is logged in, in plain words, with what to do."""

import re

import httpx
import pytest

from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in

__all__ = ["browser"]
FRAME = '<nav class="tabs" aria-label="Views">'


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    await browser.get(PAGE)
    return browser


def text_of(page: httpx.Response) -> str:
    """The words of the page's main part."""
    main = page.text.partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", main.partition(">")[2]).split())


async def test_a_refused_login_of_too_many_says_how_long_to_wait_and_keeps_the_email(browser, root):
    """Issue 22: the waiting time was in a header alone, and the email was gone."""
    for _ in range(5):
        await log_in(browser, root, password="wrong")

    answer = await log_in(browser, root, f"{PAGE}/users?search=x")

    seconds = int(answer.headers["Retry-After"])
    assert answer.status_code == 429
    assert re.search(r"Too many requests\. Try again in (\d+ seconds|1 minute)", answer.text)
    assert seconds <= 60
    assert f'name="username" value="{root.email}"' in answer.text
    assert form_in(answer, "/login")["next"] == f"{PAGE}/users?search=x"


async def test_a_login_without_a_password_keeps_the_email(browser, root):
    fields = form_in(await browser.get(PAGE), "/login")

    answer = await browser.post(f"{PAGE}/login", data={"username": root.email, **fields})

    assert answer.status_code == 422
    assert f'name="username" value="{root.email}"' in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "Not found"),
        ("GET", "/users/999", 404, "It may have been deleted"),
        ("GET", "/users?sort_by=password", 422, "Sort by should be created_at, username, email"),
        ("GET", "/users?page=0", 422, "Page should be 1 or more"),
        ("GET", "/users?page=x", 422, "Page should be a whole number"),
        ("GET", "/users?is_active=maybe", 422, "Active should be true or false"),
        ("GET", "/audit?first_day=x", 422, "First day should be written as 2026-11-27"),
        ("GET", "/users/confirm?id=1", 422, "Action is missing"),
        ("POST", "/users/confirm", 403, "Nothing was changed"),
    ],
)
async def test_an_error_is_a_page_with_navigation_in_plain_words(
    admin, method, path, status, words
):
    """Issue 22: errors had no navigation, and repeated pydantic's sentences."""
    answer = await admin.request(method, f"{PAGE}{path}")

    assert answer.status_code == status
    assert FRAME in answer.text
    assert words in text_of(answer)
    assert "Input" not in text_of(answer)


async def test_a_file_that_is_too_large_is_a_page_with_navigation_that_says_the_limit(admin):
    """Issue 22: the 413 page had no navigation."""
    content = "email,password\n" + "x" * 1_100_000

    answer = await admin.post(f"{PAGE}/users/upload", files={"file": ("a.csv", content)})

    assert answer.status_code == 413
    assert FRAME in answer.text
    assert "At most 1.0 MiB can be sent at once" in text_of(answer)


async def test_an_error_of_a_form_leads_back_to_it(admin):
    place = f"{PAGE}/users/new?x=1"

    answer = await admin.post(
        f"{PAGE}/users/new", headers={"Referer": f"https://test{place}"}, data={"csrf": "x"}
    )

    assert answer.status_code == 403
    assert f'href="{place}"' in answer.text


@pytest.mark.parametrize("referer", ["https://evil.example/x", "http://[", ""])
async def test_an_error_of_a_form_from_elsewhere_leads_to_the_overview(admin, referer):
    answer = await admin.post(f"{PAGE}/users/new", headers={"Referer": referer}, data={"csrf": "x"})

    assert "evil" not in answer.text
    assert f'class="button" href="{PAGE}"' in answer.text


async def test_an_error_shows_no_navigation_to_anonymous_callers(browser, admin, root):
    await root.post("/auth/logout-all")

    after = await admin.get(f"{PAGE}/nothing")
    browser.cookies.clear()
    without = await browser.get(f"{PAGE}/nothing")

    assert after.status_code == without.status_code == 404
    assert FRAME not in after.text
    assert FRAME not in without.text
    assert root.email not in after.text


async def test_an_error_of_an_account_page_has_its_frame(browser, ada):
    await log_in(browser, ada, "/account", next="/account")

    answer = await browser.post("/account/sessions/end", data={"csrf": "x"})

    assert answer.status_code == 403
    assert 'action="/api/v1/dashboard/logout"' in answer.text
    assert 'class="button" href="/account"' in answer.text
