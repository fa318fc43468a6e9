"""The admin pages of mail: what became of mails, caught ones, and previews."""

import html
import re

import httpx
import pytest

from app.core.jobs import JobGivenUp
from app.runtime import Runtime
from app.schemas.background.mail import SendMail
from app.worker.registry import send_mail
from tests.conftest import Person, browsing, running
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_mails import with_settings

__all__ = ["browser"]
MAIL = f"{PAGE}/mail"


def mail(to: str = "ada.lovelace@example.com") -> SendMail:
    return SendMail(mail="test-mail", to=to, data={"requested_at": "<b>now</b>"})


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


@pytest.fixture
async def caught(admin, runtime: Runtime) -> str:
    """The page of the one mail that was caught."""
    folder = runtime.caught_mails._folder
    assert folder is not None
    for left in folder.glob("*.eml"):
        left.unlink()
    await send_mail(runtime, mail())
    page = (await admin.get(MAIL)).text
    found = re.search(rf'href="({MAIL}/caught/[0-9-]+)"', page)
    assert found is not None
    return found[1]


async def test_the_table_has_the_states_of_mails_without_their_addresses(admin, runtime, caught):
    with pytest.raises(JobGivenUp):
        await send_mail(with_settings(runtime, url=None), mail("bob@example.com"))
    page = (await admin.get(MAIL)).text
    failed = (await admin.get(MAIL, params={"state": "failed", "page": 1})).text
    table = page.partition("<table")[2]

    assert "a…@example.com" in table
    assert "ada.lovelace" not in table
    assert "MAIL_URL is not set" in table
    assert ">Sent<" in table
    assert "a…@example.com" not in failed.partition("<table")[2]
    assert "b…@example.com" in failed


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "No mail has been tried yet."),
        ({"state": ""}, "No mail has been tried yet."),
        ({"state": "dropped"}, "No mails match."),
        ({"page": 7}, "There is no page 7."),
    ],
)
async def test_an_empty_table_says_why(admin, params, expected):
    assert expected in (await admin.get(MAIL, params=params)).text


@pytest.mark.parametrize("params", [{"state": "lost"}, {"page": 0}, {"page": "x"}])
async def test_a_filter_that_does_not_exist_is_refused(admin, params):
    assert (await admin.get(MAIL, params=params)).status_code == 422


async def test_a_caught_mail_is_shown_with_headers_and_text(admin, caught):
    response = await admin.get(caught)

    page = html.unescape(response.text)
    assert "ada.lovelace@example.com" in page
    assert "sending works" in page
    assert "Auto-Submitted" in page
    assert f'src="{caught}/html"' in page
    assert "frame-src 'self'" in response.headers["Content-Security-Policy"]


async def test_the_html_of_a_mail_runs_no_script_and_loads_nothing(admin, caught):
    response = await admin.get(f"{caught}/html")

    policy = response.headers["Content-Security-Policy"]
    assert response.text.startswith("<!doctype html>")
    assert "&lt;b&gt;now" in response.text
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("name", ["1700000000-1", "..", "%2e%2e%2f%2e%2e%2fsecret_key", "a"])
async def test_no_other_file_is_a_caught_mail(admin, name):
    assert (await admin.get(f"{MAIL}/caught/{name}/html")).status_code in {404, 422}


async def test_a_template_is_previewed_with_its_example(admin):
    page = (await admin.get(f"{MAIL}/preview/test-mail")).text
    framed = (await admin.get(f"{MAIL}/preview/test-mail/html")).text

    assert "Test mail from Backend API" in page
    assert "27 November 2026" in framed
    assert (await admin.get(f"{MAIL}/preview/layout")).status_code == 404


async def test_a_plain_user_sees_no_mail(browser, ada, caught):
    browser.cookies.clear()

    response = await browser.get(f"{caught}/html")

    assert "sending works" not in response.text


async def test_production_has_no_previews(settings, root):
    production = settings.replaced(app={"environment": "production"})
    async with running(production) as app, browsing(app) as client:
        response = await client.get(f"{MAIL}/preview/test-mail")

    assert response.status_code == 404
