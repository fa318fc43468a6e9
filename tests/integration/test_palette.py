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
        *("New user", "Invite a user", "New role"),
        *("Upload a file of users", "Imports and exports"),
    ]


async def test_a_search_finds_users_views_and_actions(admin, ada):
    assert await entries(admin, "AD") == {
        "Users": ["ada"],
        "Actions": ["Upload a file of users"],
    }
    assert await entries(admin, "user new") == {"Actions": ["New user"]}
    assert await entries(admin, "jobs") == {"Views": ["Jobs"]}
    assert await entries(admin, "nothing at all") == {}


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
