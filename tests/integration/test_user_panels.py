"""The views of one user in the drawer of the list: the same as the pages, without the page around
them, and only those that the caller may see."""

import json
import re
from html import unescape

import httpx
import pytest

from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_edit_form import fields_of
from tests.integration.test_roles import give

__all__ = ["browser"]
IN_DRAWER = {"HX-Request": "true", "HX-Target": "drawer-body"}
VIEWS = ("", "/edit", "/sessions", "/keys", "/history", "/json")
LIST = f"{PAGE}/users?search=a"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


def tabs(answer: httpx.Response) -> dict[str, str]:
    """The tabs of a view: name and URL, in order."""
    (nav,) = re.findall(r'<nav[^>]*aria-label="Views of .*?</nav>', answer.text, re.DOTALL)
    return {name: unescape(url) for url, name in re.findall(r'href="([^"]*)"[^>]*>(.*?)<', nav)}


def current(answer: httpx.Response) -> list[str]:
    nav = answer.text.partition('aria-label="Views of ')[2]
    return re.findall(r'aria-current="page">(\w+)', nav)


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_is_a_page_and_in_the_drawer_its_content_alone(admin, ada, view):
    place = f"{PAGE}/users/{ada.id}{view}"

    page = await admin.get(place, params={"back": LIST})
    panel = await admin.get(place, params={"back": LIST}, headers=IN_DRAWER)

    names = dict(zip(("View", "Edit", "Sessions", "Keys", "History", "JSON"), VIEWS, strict=True))
    assert tabs(page) == tabs(panel)
    assert [url.partition("?")[0] for url in tabs(page).values()] == [
        f"{PAGE}/users/{ada.id}{each}" for each in VIEWS
    ]
    assert names[current(page)[0]] == names[current(panel)[0]] == view
    assert all("back=" in url for url in tabs(page).values())
    assert page.text.startswith("<!doctype html>")
    assert panel.text.lstrip().startswith("<title>")
    content = panel.text.partition("<header")[2].rpartition("</div>")[0]
    assert "".join(content.split()) in "".join(page.text.split())
    assert "<script" not in panel.text


async def test_the_json_is_what_the_api_answers(admin, root, ada):
    page = await admin.get(f"{PAGE}/users/{ada.id}/json")

    (shown,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL)
    assert json.loads(unescape(shown)) == (await root.get(f"/users/{ada.id}")).json()


async def test_tabs_that_the_role_does_not_allow_are_not_shown(browser, root, ada, bob):
    await give(root, ada, "users:read", "sessions:read")
    await log_in(browser, ada)

    page = await browser.get(f"{PAGE}/users/{bob.id}")

    assert list(tabs(page)) == ["View", "Sessions", "JSON"]


async def test_a_superuser_is_not_edited_by_a_role(browser, root, ada):
    await give(root, ada, "users:read", "users:update")
    await log_in(browser, ada)

    page = await browser.get(f"{PAGE}/users/{root.id}")

    assert list(tabs(page)) == ["View", "JSON"]


async def test_a_refused_form_is_shown_in_the_drawer_and_a_saved_one_leads_to_the_user(admin, ada):
    place = f"{PAGE}/users/{ada.id}/edit"
    fields = fields_of(await admin.get(place, headers=IN_DRAWER))

    refused = await admin.post(place, data={**fields, "email": "x"}, headers=IN_DRAWER)
    again = await admin.post(place, data={**fields, "full_name": "Ada King"}, headers=IN_DRAWER)
    saved = await admin.get(again.headers["Location"], headers=IN_DRAWER)

    assert (refused.status_code, again.status_code) == (422, 303)
    assert refused.text.lstrip().startswith("<title>")
    assert " data-unsaved " in refused.text
    assert "Saved ada" in saved.text
    assert current(saved) == ["View"]


async def test_errors_are_shown_in_the_drawer(admin):
    answer = await admin.get(f"{PAGE}/users/999", headers=IN_DRAWER)

    assert answer.status_code == 404
    assert answer.text.lstrip().startswith("<title>User not found")


async def test_without_a_session_the_whole_page_is_loaded_anew(browser, root):
    answer = await browser.get(f"{PAGE}/users/{root.id}", headers=IN_DRAWER)

    assert (answer.headers["HX-Refresh"], answer.text) == ("true", "")
