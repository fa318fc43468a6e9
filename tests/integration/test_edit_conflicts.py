"""Two tabs that change the same: neither overwrites the other unseen, and nothing typed is lost."""

import re
from html import unescape

import httpx
import pytest

from app.services.merging import merged
from tests.account_pages import ACCOUNT
from tests.account_pages import fields_of as hidden_in
from tests.account_pages import log_in as log_in_to_account
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_edit_form import Fields, fields_of, opened, save
from tests.integration.test_roles import new_role
from tests.mfa import execute

__all__ = ["browser"]
CHOICE = re.compile(r'<input type="radio" name="(\w+)" value="([^"]*)"( checked)?>')


def choices_in(page: httpx.Response) -> list[tuple[str, str, bool]]:
    """The values to choose from: field, value, and whether it is the chosen one."""
    return [(name, unescape(value), bool(on)) for name, value, on in CHOICE.findall(page.text)]


def without_choices(page: httpx.Response) -> Fields:
    """What the form sends besides what is chosen."""
    chosen = {name for name, _, _ in choices_in(page)}
    return {name: value for name, value in fields_of(page).items() if name not in chosen}


@pytest.fixture
async def conflict(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.Response:
    """The form after a tab has renamed `ada`, whom another had opened before."""
    await log_in(browser, root)
    first, second = await opened(browser, ada), await opened(browser, ada)
    saved = await save(browser, ada, first | {"full_name": "Ada <King>"})
    assert saved.status_code == 303
    return await save(
        browser, ada, second | {"full_name": "Countess", "email": "countess@example.org"}
    )


async def test_both_values_are_shown_and_who_changed_it_when(conflict, root, ada):
    assert conflict.status_code == 409
    assert choices_in(conflict) == [
        ("full_name", "Ada <King>", False),
        ("full_name", "Countess", True),
    ]
    assert "Changed by you a moment ago" in conflict.text
    assert "Choose which value to keep" in conflict.text
    user = (await root.get(f"/users/{ada.id}")).json()
    assert (user["full_name"], user["email"]) == ("Ada <King>", ada.email)


async def test_another_admin_is_named_with_the_time_of_the_change(browser, root, ada):
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True})
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await ada.patch("/users/me", json={"full_name": "Ada King"})
    refused = await save(browser, ada, fields | {"full_name": "Countess"})

    assert "Changed by ada a moment ago" in refused.text


async def test_mine_overwrites_and_what_else_was_typed_is_saved_too(conflict, browser, root, ada):
    sent = without_choices(conflict) | {"full_name": "Countess"}

    saved = await save(browser, ada, sent)

    user = (await root.get(f"/users/{ada.id}")).json()
    assert saved.status_code == 303
    assert (user["full_name"], user["email"]) == ("Countess", "countess@example.org")


async def test_theirs_stays_and_what_else_was_typed_is_saved(conflict, browser, root, ada):
    sent = without_choices(conflict) | {"full_name": "Ada <King>"}

    saved = await save(browser, ada, sent)

    user = (await root.get(f"/users/{ada.id}")).json()
    assert saved.status_code == 303
    assert (user["full_name"], user["email"]) == ("Ada <King>", "countess@example.org")


async def test_a_third_change_while_one_chooses_is_a_conflict_again(conflict, browser, root, ada):
    await root.patch(f"/users/{ada.id}", json={"full_name": "Augusta"})

    refused = await save(browser, ada, without_choices(conflict) | {"full_name": "Countess"})

    assert refused.status_code == 409
    assert choices_in(refused)[0] == ("full_name", "Augusta", False)


async def test_the_same_change_in_both_tabs_is_no_conflict(browser, root, ada):
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King"})

    assert (await save(browser, ada, fields | {"full_name": "Ada King"})).status_code == 303


async def test_a_name_that_was_removed_meanwhile_is_shown_as_empty(browser, root, ada):
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada"})
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await root.patch(f"/users/{ada.id}", json={"full_name": None})

    refused = await save(browser, ada, fields | {"full_name": "Countess"})
    kept = await save(browser, ada, without_choices(refused) | {"full_name": ""})

    assert ("full_name", "", False) in choices_in(refused)
    assert kept.status_code == 303
    assert (await root.get(f"/users/{ada.id}")).json()["full_name"] is None


async def test_a_change_without_an_event_is_a_conflict_too(browser, root, ada, runtime):
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await execute(runtime, f"UPDATE users SET full_name = 'By SQL' WHERE id = {ada.id}")

    refused = await save(browser, ada, fields | {"full_name": "Countess"})

    assert refused.status_code == 409
    assert "Was changed meanwhile" in refused.text


async def test_users_are_not_told_which_administrator_changed_their_profile(browser, root, ada):
    await log_in_to_account(browser, ada)
    place = f"{ACCOUNT}/profile"
    fields = hidden_in(await browser.get(place), place)
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada King", "username": "countess"})

    refused = await browser.post(
        place, data=fields | {"full_name": "Ada Lovelace", "username": "ada"}
    )
    again = hidden_in(refused, place) | {"full_name": "Ada Lovelace", "username": "ada"}
    saved = await browser.post(place, data=again)

    assert refused.status_code == 409
    assert "Changed by an administrator a moment ago" in refused.text
    assert "root" not in refused.text
    assert saved.status_code == 303
    me = (await ada.get("/users/me")).json()
    assert (me["full_name"], me["username"]) == ("Ada Lovelace", "countess")


async def test_a_role_keeps_what_others_added_and_removed_meanwhile(browser, root):
    role = await new_role(root, "support", "users:read", "sessions:end")
    await log_in(browser, root)
    place = f"/roles/{role['id']}"
    fields = form_in(await browser.get(f"{PAGE}{place}"), place)
    await root.patch(place, json={"permissions": ["users:read", "stats:read"]})

    chosen = ["users:read", "sessions:end", "audit:read"]
    form = fields | {"name": "support", "description": "They help", "permissions": chosen}
    saved = await browser.post(f"{PAGE}{place}", data=form)

    assert saved.status_code == 303
    after = (await root.get(place)).json()
    assert set(after["permissions"]) == {"users:read", "stats:read", "audit:read"}
    assert after["description"] == "They help"


async def test_a_role_that_two_rename_is_a_conflict(browser, root):
    role = await new_role(root, "support")
    await log_in(browser, root)
    place = f"/roles/{role['id']}"
    fields = form_in(await browser.get(f"{PAGE}{place}"), place)
    await root.patch(place, json={"name": "helpers"})

    refused = await browser.post(f"{PAGE}{place}", data=fields | {"name": "desk"})
    mine = form_in(refused, place) | {"name": "desk"}
    saved = await browser.post(f"{PAGE}{place}", data=mine)

    assert refused.status_code == 409
    assert choices_in(refused) == [("name", "helpers", False), ("name", "desk", True)]
    assert saved.status_code == 303
    assert (await root.get(place)).json()["name"] == "desk"


async def test_roles_that_others_gave_and_took_meanwhile_stay_so(browser, root, ada):
    for name in ("first", "second", "third"):
        await new_role(root, name)
    given = f"/users/{ada.id}/roles"
    await root.request("PUT", given, json={"roles": ["first"]})
    await log_in(browser, root)
    fields = form_in(await browser.get(f"{PAGE}{given}"), given)
    await root.request("PUT", given, json={"roles": ["second"]})

    saved = await browser.post(f"{PAGE}{given}", data=fields | {"roles": ["first", "third"]})

    names = {role["name"] for role in (await root.get(given)).json()}
    assert saved.status_code == 303
    assert names == {"second", "third"}


async def test_a_user_gets_no_more_roles_than_there_may_be_by_two_forms(browser, root, ada):
    names = [f"role-{number}" for number in range(21)]
    for name in names:
        await new_role(root, name)
    given = f"/users/{ada.id}/roles"
    await log_in(browser, root)
    fields = form_in(await browser.get(f"{PAGE}{given}"), given)
    await root.request("PUT", given, json={"roles": names[:1]})

    refused = await browser.post(f"{PAGE}{given}", data=fields | {"roles": names[1:]})

    assert refused.status_code == 409
    assert "A user has at most 20 roles" in refused.text


def test_fields_that_the_caller_did_not_know_are_changed_without_a_look():
    assert merged({"name": "new"}, {}, {"name": "theirs"}) == {"name": "new"}
