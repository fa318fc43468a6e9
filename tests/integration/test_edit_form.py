"""The form that changes a user sends what was changed in it, and nothing else."""

import asyncio
import re
from html import unescape

import httpx
import pytest

from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in

__all__ = ["browser"]
Fields = dict[str, str]


def fields_of(page: httpx.Response) -> Fields:
    """What the form would send as it is, its token among it."""
    (form,) = re.findall(r"<form[^>]* data-form>.*?</form>", page.text, re.DOTALL)
    inputs = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in re.findall("<input[^>]*>", form)]
    boxes = re.findall(r'<input type="checkbox"[^>]* name="(\w+)"[^>]* checked>', form)
    return {
        one["name"]: unescape(one["value"])
        for one in inputs
        if one.get("type") != "checkbox" or one["name"] in boxes
    }


async def opened(browser: httpx.AsyncClient, person: Person) -> Fields:
    page = await browser.get(f"{PAGE}/users/{person.id}/edit")
    assert page.status_code == 200
    return fields_of(page)


async def save(browser: httpx.AsyncClient, person: Person, fields: Fields) -> httpx.Response:
    return await browser.post(f"{PAGE}/users/{person.id}/edit", data=fields)


async def test_a_promotion_meanwhile_is_not_undone(browser, root: Person, ada: Person):
    """By reading: an older tab saves a name, and knew of no promotion."""
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True, "email": "a@example.org"})

    answer = await save(browser, ada, fields | {"full_name": "Ada King"})

    assert answer.status_code == 303
    now = (await root.get(f"/users/{ada.id}")).json()
    assert (now["full_name"], now["is_superuser"]) == ("Ada King", True)
    assert now["email"] == "a@example.org"


async def test_a_demotion_meanwhile_is_not_undone(browser, root: Person, ada: Person):
    """By reading: the other way round."""
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True, "full_name": "Ada"})
    await log_in(browser, root)
    fields = await opened(browser, ada)
    await root.patch(f"/users/{ada.id}", json={"is_superuser": False})

    await save(browser, ada, fields | {"username": "countess"})

    now = (await root.get(f"/users/{ada.id}")).json()
    assert (now["username"], now["is_superuser"], now["full_name"]) == ("countess", False, "Ada")


async def test_concurrent_changes_of_different_fields_are_both_saved(
    browser, root: Person, ada: Person
):
    """By reading: each changed another field of the same form."""
    await log_in(browser, root)
    fields = await opened(browser, ada)
    edits: list[Fields] = [
        {"full_name": "Ada King"},
        {"email": "k@b.org"},
        {"is_superuser": "true"},
    ]

    answers = await asyncio.gather(*(save(browser, ada, fields | edit) for edit in edits))

    assert [answer.status_code for answer in answers] == [303] * 3
    now = (await root.get(f"/users/{ada.id}")).json()
    assert (now["full_name"], now["email"], now["is_superuser"]) == ("Ada King", "k@b.org", True)


async def test_cleared_fields_are_saved_as_empty(browser, root: Person, ada: Person):
    await root.patch(f"/users/{ada.id}", json={"full_name": 'A "<K>', "is_superuser": True})
    await log_in(browser, root)
    fields = await opened(browser, ada)
    assert fields["is_superuser"] == "true"
    del fields["is_superuser"]

    await save(browser, ada, fields | {"full_name": ""})

    now = (await root.get(f"/users/{ada.id}")).json()
    assert (now["full_name"], now["is_superuser"]) == (None, False)


async def test_a_form_that_is_saved_as_it_is_changes_nothing(browser, root: Person, ada: Person):
    before = (await root.patch(f"/users/{ada.id}", json={"full_name": "A & 'B' \"C\""})).json()
    await log_in(browser, root)

    answer = await save(browser, ada, await opened(browser, ada))

    assert answer.status_code == 303
    assert (await root.get(f"/users/{ada.id}")).json() == before


@pytest.mark.parametrize(("field", "typed"), [("email", ""), ("email", "x"), ("username", "")])
async def test_a_refused_form_still_knows_what_it_began_with(browser, root, ada, field, typed):
    """By reading: it is corrected and sent again, and touches nothing more than before."""
    await log_in(browser, root)
    fields = await opened(browser, ada)

    refused = await save(browser, ada, fields | {field: typed, "full_name": "Ada King"})
    again = fields_of(refused)
    await root.patch(f"/users/{ada.id}", json={"is_superuser": True})
    saved = await save(browser, ada, again | {field: fields[field]})

    assert (refused.status_code, saved.status_code) == (422, 303)
    assert again["full_name"] == "Ada King"
    now = (await root.get(f"/users/{ada.id}")).json()
    assert (now["full_name"], now["is_superuser"]) == ("Ada King", True)


async def test_the_form_for_a_new_user_says_how_to_change_the_password(browser, root: Person):
    """U12: there is no page for a password."""
    await log_in(browser, root)

    page = await browser.get(f"{PAGE}/users/new")

    assert "once they are logged in" not in page.text
    assert "POST /auth/password" in page.text


@pytest.mark.parametrize("was", ["", "x", "[]", '{"email": 1}', "[" * 10_000, '"\\ud800"'])
async def test_a_form_that_does_not_say_what_it_began_with_is_refused(browser, root, ada, was):
    await log_in(browser, root)
    fields = await opened(browser, ada)

    refused = await save(browser, ada, fields | {"full_name": "Ada King", "was": was})

    assert refused.status_code == 422
    assert (await root.get(f"/users/{ada.id}")).json()["full_name"] is None
