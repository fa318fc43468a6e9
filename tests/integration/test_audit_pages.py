"""The admin page of the audit trail, and the history of a user."""

import re
from html import unescape

import httpx
import pytest

from app.runtime import Runtime
from tests.conftest import Person
from tests.integration.test_audit_trail import events
from tests.integration.test_dashboard_page import PAGE, browser, log_in

__all__ = ["browser"]
AUDIT = f"{PAGE}/audit"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.AsyncClient:
    """A browser in which a superuser is logged in, after a change of `ada`."""
    await root.patch(f"/users/{ada.id}", json={"full_name": "<b>Ada</b>"})
    await log_in(browser, root)
    return browser


def shown(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text
    return re.findall(r'<th scope="row"><a href="[^"]+">([\w.]+)</a>', page.text)


async def test_the_newest_events_are_shown_with_what_they_changed(admin):
    page = await admin.get(AUDIT)

    assert shown(page)[:2] == ["session.started", "user.updated"]
    assert "<del>null</del><ins>&lt;b&gt;Ada&lt;/b&gt;</ins>" in page.text


@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("action=user.updated", {"user.updated"}),
        ("action=user.deleted", set()),
        ("actor=command", {"user.created"}),
        (
            "user_id=2&actor=&target=&first_day=&last_day=",
            {"user.created", "user.updated", "session.started"},
        ),
        ("last_day=2001-01-01", set()),
        ("first_day=2001-01-01&action=user.updated", {"user.updated"}),
        ("last_day=9999-12-31&action=user.updated", {"user.updated"}),
    ],
)
async def test_the_filters_select_events(admin, ada, query, actions):
    assert set(shown(await admin.get(f"{AUDIT}?{query}"))) == actions


@pytest.mark.parametrize("query", ["action=x", "user_id=x", "first_day=x", "cursor=x", "page=1"])
async def test_an_invalid_filter_is_refused_as_a_page(admin, query):
    page = await admin.get(f"{AUDIT}?{query}")

    assert page.status_code == 422
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_older_events_are_on_the_next_page(admin, root: Person, runtime: Runtime):
    for number in range(30):
        await root.patch("/users/me", json={"full_name": f"Root {number}"})
    first = await admin.get(f"{AUDIT}?action=user.updated")
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = await admin.get(unescape(older))

    assert (len(shown(first)), len(shown(second))) == (25, 6)
    assert 'rel="next"' not in second.text
    assert f'href="{AUDIT}?action=user.updated">Newest' in second.text


async def test_the_export_has_the_filters_of_the_table(admin, runtime: Runtime):
    page = await admin.get(f"{AUDIT}?action=user.updated")
    (export,) = re.findall(r'href="([^"]+/export[^"]*)"', page.text)
    file = await admin.get(unescape(export))

    assert len(file.text.splitlines()) == 2
    assert file.content.startswith(b"\xef\xbb\xbfid,")
    assert len(await events(runtime, "data.exported")) == 1


async def test_a_users_page_has_the_history_of_the_account(admin, ada: Person):
    page = await admin.get(f"{PAGE}/users/{ada.id}/history")

    history = page.text.partition("history-title")[2]
    assert re.findall(r"<strong>([\w.]+)</strong>", history) == [
        "user.updated",
        "session.started",
        "user.created",
    ]
    assert "by root" in history
    assert f'href="{AUDIT}?user_id={ada.id}"' in history
