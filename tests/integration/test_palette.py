"""The entries of the palette: what the caller may see, found by a search, within a bound."""

import re
from html import unescape

import httpx
import pytest

from tests.browser.people import sixty
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_roles import give

__all__ = ["browser"]


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def entries(admin: httpx.AsyncClient, search: str = "") -> dict[str, list[str]]:
    """Names by group."""
    answer = await admin.get(f"{PAGE}/palette", params={"search": search})
    assert answer.status_code == 200
    groups = re.findall(r'role="group" aria-label="(\w+)">(.*?)\n</div>', answer.text, re.DOTALL)
    return {
        title: [unescape(name) for name in re.findall(r'<span class="clip">(.*?)</span>', content)]
        for title, content in groups
    }


async def test_without_a_search_views_and_actions_are_listed(admin):
    found = await entries(admin)

    assert list(found) == ["Views", "Actions"]
    assert found["Views"][:2] == ["Overview", "Users"]
    assert found["Views"][-1] == "Your account"
    assert found["Actions"] == [
        *("New user", "Invite a user", "New role", "Actions on many users"),
        *("Upload a file of users", "Imports and exports"),
    ]


async def test_a_search_finds_users_views_and_actions(admin, ada):
    found = await entries(admin, "AD")
    assert found["Users"] == ["ada"]
    assert found["Actions"] == ["Upload a file of users"]
    assert await entries(admin, "user new") == {"Actions": ["New user"]}
    assert (await entries(admin, "jobs"))["Views"] == ["Jobs"]
    assert await entries(admin, "nothing at all") == {}


async def test_a_setting_is_found_by_words_of_its_name_and_leads_to_its_row(admin):
    found = await entries(admin, "mail link")
    answer = await admin.get(f"{PAGE}/palette", params={"search": "mail link"})
    (url,) = re.findall(r'href="([^"]*settings[^"]*)"', answer.text)
    page = await admin.get(unescape(url))

    assert found == {"Settings": ["MAIL_LINK_BASE_URL"]}
    assert "beginning of the links in mails" in answer.text
    (opened,) = re.findall(
        r'<details class="panel setting-group" open>(.*?)</details>', page.text, re.DOTALL
    )
    assert f'id="{url.partition("#")[2]}"' in opened


async def test_at_most_eight_settings_are_listed_and_none_without_a_search(admin):
    assert len((await entries(admin, "auth"))["Settings"]) == 8
    assert "Settings" not in await entries(admin)
    assert (await entries(admin))["Views"][-2:] == ["Settings", "Your account"]


async def test_who_is_no_superuser_finds_no_settings(browser, root, ada):
    await give(root, ada, "users:read", "jobs:manage")
    await log_in(browser, ada)

    assert await entries(browser, "mail link") == {}
    assert "Settings" not in (await entries(browser))["Views"]


async def test_at_most_eight_users_are_listed(admin, runtime):
    await sixty(runtime)

    assert len((await entries(admin, "user"))["Users"]) == 8


async def test_an_email_is_escaped_and_leads_to_the_user(admin, root, ada):
    await root.patch(f"/users/{ada.id}", json={"email": "ada&co@example.com"})

    answer = await admin.get(f"{PAGE}/palette", params={"search": "ada"})

    assert f'href="{PAGE}/users/{ada.id}" data-drawer' in answer.text
    assert "ada&amp;co@example.com" in answer.text


async def test_a_role_finds_what_it_may_see(browser, root, ada, bob):
    await give(root, ada, "jobs:manage")
    await log_in(browser, ada)

    assert await entries(browser, "bob") == {}
    assert await entries(browser) == {"Views": ["Jobs", "Your account"]}


@pytest.mark.parametrize("search", ["x" * 255, "\ufffd"])
async def test_a_search_that_the_list_refuses_is_refused(admin, search):
    answer = await admin.get(f"{PAGE}/palette", params={"search": search})

    assert answer.status_code == 422
