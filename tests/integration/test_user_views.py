"""The views of one user: they lead back to the list as it was filtered, end a single session, and
warn before one's own account loses its rights."""

import re
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Person, person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_edit_form import fields_of
from tests.integration.test_roles import give, new_role

__all__ = ["browser"]
LIST = f"{PAGE}/users?search=a&is_active=true&page=2"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


def links(page: httpx.Response) -> set[str]:
    return {unescape(url) for url in re.findall(r'href="([^"]*)"', page.text)}


def action_of(page: httpx.Response) -> str:
    (action,) = re.findall(r'<form[^>]*action="([^"]*)"[^>]* data-form', page.text)
    return unescape(action)


@pytest.mark.parametrize("view", ["edit", "roles"])
async def test_the_list_keeps_its_filter_after_a_form_is_cancelled_or_saved(admin, ada, view):
    """Issue 22: the filter was lost after edit and cancel."""
    place = f"{PAGE}/users/{ada.id}"
    user = await admin.get(place, params={"back": LIST})
    (link,) = [url for url in links(user) if url.startswith(f"{place}/{view}")]
    form = await admin.get(link)
    (cancel,) = [url for url in links(form) if url.startswith(f"{place}?")]
    saved = await admin.post(action_of(form), data=fields_of(form))

    after_cancel, after_save = (
        await admin.get(cancel),
        await admin.get(saved.headers["Location"]),
    )

    assert saved.status_code == 303
    assert LIST in links(user) & links(after_cancel) & links(after_save)


async def test_the_list_keeps_its_filter_after_a_refused_form(admin, ada):
    form = await admin.get(f"{PAGE}/users/{ada.id}/edit", params={"back": LIST})

    refused = await admin.post(action_of(form), data={**fields_of(form), "email": "x"})

    assert refused.status_code == 422
    assert action_of(refused) == action_of(form)


async def test_the_list_keeps_its_filter_after_a_change_of_state(admin, ada):
    user = await admin.get(f"{PAGE}/users/{ada.id}", params={"back": LIST})

    backs = {unescape(one) for one in re.findall(r'name="back" value="([^"]*)"', user.text)}
    (back,) = backs - {LIST}  # a deletion leads to the list itself
    params = {"action": "deactivate", "id": ada.id, "back": back}
    question = await admin.get(f"{PAGE}/users/confirm", params=params)
    done = await admin.post(
        f"{PAGE}/users/confirm", data={**form_in(question, "/users/confirm"), **params}
    )

    assert LIST in links(await admin.get(done.headers["Location"]))


async def change(admin: httpx.AsyncClient, action: str, *people: Person) -> httpx.Response:
    """The answer to the question about an action on users, followed to the list."""
    params: dict[str, Any] = {
        "action": action,
        "id": [person.id for person in people],
        "back": LIST,
    }
    question = await admin.get(f"{PAGE}/users/confirm", params=params)
    sent = {**form_in(question, "/users/confirm"), **params}
    done = await admin.post(f"{PAGE}/users/confirm", data=sent)
    return await admin.get(done.headers["Location"]) if done.status_code == 303 else done


def undo_in(page: httpx.Response) -> dict[str, list[str]]:
    """The fields of the form that undoes an action."""
    (form,) = re.findall(
        rf'<form[^>]*action="{PAGE}/users/confirm">((?:(?!</form>).)*>Undo<)', page.text, re.DOTALL
    )
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(unescape(value))
    return fields


async def active(root: Person) -> set[str]:
    listed = (await root.get("/users", params={"is_active": True})).json()["items"]
    return {user["username"] for user in listed}


@pytest.mark.parametrize("action", ["deactivate", "activate"])
async def test_a_change_of_state_is_undone_for_those_whom_it_changed(admin, root, ada, bob, action):
    changed, same = (ada, bob) if action == "deactivate" else (bob, ada)
    await root.patch(f"/users/{bob.id}", json={"is_active": False})

    done = await change(admin, action, changed, same)
    after = await active(root)
    undo = undo_in(done)
    undone = await admin.post(f"{PAGE}/users/confirm", data=undo)

    assert after == ({"root"} if action == "deactivate" else {"root", "ada", "bob"})
    assert (undo["id"], undo["back"]) == ([str(changed.id)], [LIST])
    assert (undone.status_code, undone.headers["Location"]) == (303, LIST)
    assert await active(root) == {"root", "ada"}
    assert undo_in(await admin.get(LIST))["action"] == [action]


async def test_what_some_were_refused_is_undone_for_the_others(admin, root, ada):
    refused = await change(admin, "deactivate", ada, root)

    undone = await admin.post(f"{PAGE}/users/confirm", data=undo_in(refused))

    assert (refused.status_code, undone.status_code) == (409, 303)
    assert await active(root) == {"root", "ada"}


@pytest.mark.parametrize("action", ["end_sessions", "deactivate"])
async def test_where_nothing_can_be_undone_no_undo_is_offered(admin, root, ada, action):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    done = await change(admin, action, ada)

    assert 'role="status"' in done.text
    assert ">Undo<" not in done.text


async def test_the_login_page_offers_no_undo_to_who_deactivated_themselves(
    admin, client, runtime, root
):
    await person(client, runtime, "grace", is_superuser=True)

    page = await change(admin, "deactivate", root)
    while page.status_code == 303:
        page = await admin.get(page.headers["Location"])

    assert "Deactivated root" in page.text
    assert 'name="password"' in page.text
    assert ">Undo<" not in page.text


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/docs"])
async def test_the_way_back_from_a_form_leads_nowhere_else(admin, ada, back):
    form = await admin.get(f"{PAGE}/users/{ada.id}/edit", params={"back": back})
    saved = await admin.post(action_of(form), data=fields_of(form))
    user = await admin.get(saved.headers["Location"])

    assert not [url for url in links(form) | links(user) if "evil" in url]
    assert links(user) & {"/docs", PAGE, f"{PAGE}/users"} == {"/docs", PAGE, f"{PAGE}/users"}


async def test_a_single_session_of_a_user_is_ended(admin, ada):
    """Issue 22: only all of them at once could be ended."""
    phone = Person(**vars(ada))
    await phone.login()
    sessions = (await phone.get("/auth/sessions")).json()["items"]
    (old,) = [session["id"] for session in sessions if not session["is_current"]]
    page = await admin.get(f"{PAGE}/users/{ada.id}/sessions", params={"back": LIST})
    assert page.text.count(">End</button>") == 2
    token = form_in(page, "/logout")["csrf"]

    ended = await admin.post(
        f"{PAGE}/users/{ada.id}/sessions/{old}/end", params={"back": LIST}, data={"csrf": token}
    )

    after = await admin.get(ended.headers["Location"])
    assert ended.status_code == 303
    assert "The session has ended" in after.text
    assert LIST in links(after)
    assert (await ada.get("/users/me")).status_code == 401
    assert (await phone.get("/users/me")).status_code == 200


async def test_a_session_that_has_ended_already_is_reported_on_the_user(admin, ada):
    page = await admin.get(f"{PAGE}/users/{ada.id}")
    token = form_in(page, "/logout")["csrf"]

    answer = await admin.post(f"{PAGE}/users/{ada.id}/sessions/{uuid4()}/end", data={"csrf": token})

    assert answer.status_code == 303
    assert "The session had ended already" in (await admin.get(answer.headers["Location"])).text


async def test_a_session_of_a_superuser_is_ended_by_superusers_alone(browser, root, ada):
    await give(root, ada, "users:read", "sessions:read", "sessions:end")
    await log_in(browser, ada)
    page = await browser.get(f"{PAGE}/users/{root.id}/sessions")
    (session,) = (await root.get("/auth/sessions")).json()["items"]
    token = form_in(page, "/logout")["csrf"]

    answer = await browser.post(
        f"{PAGE}/users/{root.id}/sessions/{session['id']}/end", data={"csrf": token}
    )

    assert ">End</button>" not in page.text
    assert answer.status_code == 403
    assert (await root.get("/users/me")).status_code == 200


async def test_demoting_oneself_is_warned_of_first(admin, root, ada):
    """Issue 22: the next click led to a page that may not be used."""
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True})
    form = await admin.get(f"{PAGE}/users/{root.id}/edit")
    fields = fields_of(form)
    del fields["is_superuser"]

    warned = await admin.post(action_of(form), data=fields)
    before = (await root.get("/users/me")).json()["is_superuser"]
    sure = await admin.post(action_of(warned), data=fields_of(warned))

    assert "This is your own account" in form.text
    assert (warned.status_code, before) == (409, True)
    assert "you will not be a superuser any more" in warned.text
    assert sure.status_code == 303
    assert not (await root.get("/users/me")).json()["is_superuser"]


async def test_other_changes_of_oneself_are_saved_without_a_warning(admin, root):
    form = await admin.get(f"{PAGE}/users/{root.id}/edit")

    saved = await admin.post(action_of(form), data={**fields_of(form), "full_name": "Grace"})

    assert saved.status_code == 303
    assert (await root.get("/users/me")).json()["full_name"] == "Grace"


async def test_taking_a_role_from_oneself_is_warned_of_first(browser, root, ada):
    await give(root, ada, "users:read", "roles:manage")
    await new_role(root, "other")
    await log_in(browser, ada)
    form = await browser.get(f"{PAGE}/users/{ada.id}/roles")
    chosen = {"roles": "other"}

    warned = await browser.post(action_of(form), data=fields_of(form) | chosen)
    before = await roles_of(root, ada)
    sure = await browser.post(action_of(warned), data=fields_of(warned) | chosen)

    assert warned.status_code == 409
    assert 'name="is_sure"' in warned.text
    assert "you will lose what these roles allow" in warned.text
    assert len(before) == 1
    assert sure.status_code == 303
    assert await roles_of(root, ada) == ["other"]


async def roles_of(root: Person, person: Person) -> list[str]:
    roles = (await root.get(f"/users/{person.id}/roles")).json()
    return [role["name"] for role in roles]
