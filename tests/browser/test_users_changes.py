"""What superusers do to users, as they see it."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import DASHBOARD, PHONE, held_back, log_in, overflow, violations
from tests.conftest import PASSWORD

USERS = f"{DASHBOARD}/users"
VIEWS = {
    "new": f"{USERS}/new",
    "user": f"{USERS}/1",
    "edit": f"{USERS}/1/edit",
    "confirm": f"{USERS}/confirm?action=delete&id=1&id=2",
}


@pytest.fixture
async def desk(page: Page, root, ada, bob) -> Page:
    """The users view, `root` being logged in."""
    await log_in(page, root, USERS)
    return page


async def drawer(page: Page, name: str) -> Locator:
    """The drawer of a user, opened by the row."""
    await page.get_by_role("link", name=name).click()
    opened = page.get_by_role("dialog", name="User")
    await expect(opened.get_by_role("heading", name=name)).to_be_visible()
    return opened


async def select(page: Page, *names: str) -> None:
    for name in names:
        await page.get_by_label(f"Select {name}").check()


async def test_a_user_is_created_and_can_log_in(desk, client):
    await desk.get_by_role("link", name="New user").click()
    await desk.get_by_label("Email").fill("Grace@Example.com")
    await desk.get_by_label("Full name").fill("Grace <Hopper>")
    await desk.get_by_label("Password").fill(PASSWORD)
    await desk.get_by_role("button", name="Create user").click()

    await expect(desk.get_by_role("status").first).to_have_text("Created grace")
    await expect(desk.get_by_role("heading", name="grace")).to_be_visible()
    await expect(desk.get_by_role("definition").get_by_text("Grace <Hopper>")).to_be_visible()
    credentials = {"email": "grace@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/login", json=credentials)).status_code == 200


async def test_the_focus_stays_in_the_field_that_was_typed_into_before_the_scripts_came(desk):
    come = await held_back(desk, "**/users.js")
    await desk.goto(f"{USERS}/new", wait_until="commit")
    await desk.get_by_label("Full name").fill("Grace")
    come.set()
    await desk.wait_for_load_state()

    await expect(desk.get_by_label("Full name")).to_be_focused()


async def test_a_taken_email_is_reported_at_its_field_and_the_form_stays_filled(desk, ada, watch):
    watch.expect_status(409)
    await desk.goto(f"{USERS}/new")
    await desk.get_by_label("Email").fill(ada.email)
    await desk.get_by_label("Full name").fill("Another Ada")
    await desk.get_by_label("Password").fill(PASSWORD)

    await desk.get_by_role("button", name="Create user").click()

    email = desk.get_by_label("Email")
    await expect(email).to_have_attribute("aria-invalid", "true")
    await expect(email).to_have_accessible_description("Already taken")
    await expect(email).to_be_focused()
    await expect(desk.get_by_label("Full name")).to_have_value("Another Ada")
    await expect(desk.get_by_label("Password")).to_have_value("")
    await expect(desk.get_by_role("alert")).to_have_text("Not saved: see below.")


async def test_every_fault_is_reported_at_its_field(desk, watch):
    watch.expect_status(422)
    await desk.goto(f"{USERS}/new")
    await desk.get_by_label("Email").fill("nobody")
    await desk.get_by_label("Username").fill("a b")

    await desk.get_by_role("button", name="Create user").click()

    described = {"Email": "Not a valid", "Username": "3 to 32 letters", "Password": "Is missing"}
    for label, fault in described.items():
        note = desk.locator(f"#{label.lower()}-note")
        await expect(note).to_contain_text(fault)
        await expect(desk.get_by_label(label)).to_have_attribute("aria-invalid", "true")


async def test_a_user_is_edited(desk, ada):
    user = await drawer(desk, "ada")
    await user.get_by_role("link", name="Edit").click()
    await desk.get_by_label("Username").fill("countess")
    await desk.get_by_label("Full name").fill("Ada King")
    await user.get_by_label("Superuser").check()
    await desk.get_by_role("button", name="Save").click()
    await expect(user.get_by_role("status").first).to_have_text("Saved countess")

    me = (await ada.get("/users/me")).json()

    assert (me["username"], me["full_name"], me["is_superuser"]) == ("countess", "Ada King", True)
    assert me["email"] == ada.email


async def test_of_two_tabs_that_change_the_same_the_later_one_chooses(desk, ada, root, watch):
    watch.expect_status(409)
    long = "Ada" * 60
    await desk.set_viewport_size(PHONE)
    await desk.goto(f"{USERS}/{ada.id}/edit")
    await root.patch(f"/users/{ada.id}", json={"full_name": long, "username": "king"})
    await desk.get_by_label("Full name").fill("Ada Lovelace")
    await desk.get_by_label("Email").fill("lovelace@example.org")
    await desk.get_by_role("button", name="Save").click()

    choice = desk.get_by_role("radiogroup", name="Full name")
    await expect(choice).to_be_focused()
    await expect(choice).to_have_accessible_description("Changed by you a moment ago")
    await expect(choice.get_by_label("Keep mine")).to_be_checked()
    await expect(choice).to_contain_text(long)
    assert await overflow(desk) == 0
    await expect(desk.get_by_label("Email")).to_have_value("lovelace@example.org")
    assert await violations(desk) == []
    await choice.get_by_label("Keep theirs").check()
    await desk.get_by_role("button", name="Save").click()

    await expect(desk.get_by_role("status").first).to_have_text("Saved king")
    me = (await ada.get("/users/me")).json()
    assert (me["full_name"], me["email"]) == (long, "lovelace@example.org")


async def test_the_last_superuser_stays_one_and_the_page_says_why(desk, root, watch):
    watch.expect_status(409)
    await desk.goto(f"{USERS}/{root.id}/edit")
    await desk.get_by_label("Superuser").uncheck()
    told = desk.get_by_role("alert")
    await desk.get_by_role("button", name="Save").click()
    await expect(told).to_contain_text("Send the form again to do it")

    await desk.get_by_role("button", name="Save").click()

    await expect(told).to_have_text("At least one active superuser must remain.")


async def test_a_deactivated_user_is_refused_at_the_next_request(desk, ada):
    before = await ada.get("/users/me")
    user = await drawer(desk, "ada")
    await user.get_by_role("button", name="Deactivate").click()
    await expect(desk.get_by_text("The users are logged out everywhere at once")).to_be_visible()
    await desk.get_by_role("button", name="Deactivate this user").click()
    await expect(user.get_by_role("status").first).to_have_text("Deactivated ada")

    after = await ada.get("/users/me")

    assert (before.status_code, after.status_code) == (200, 401)
    await expect(user.get_by_text("Inactive")).to_be_visible()
    await user.get_by_role("button", name="Activate").click()
    await user.get_by_role("button", name="Activate this user").click()
    await expect(user.get_by_role("status").first).to_have_text("Activated ada")
    await ada.login()

    await user.get_by_role("button", name="Undo").click()

    await expect(user.get_by_role("status").first).to_have_text("Deactivated ada")
    await expect(user.get_by_text("Inactive")).to_be_visible()


async def test_many_are_deactivated_and_the_cards_show_it_at_once(desk, ada, bob):
    await desk.goto(DASHBOARD)
    inactive = desk.locator("[data-figure=inactive_users]")
    await expect(inactive).to_have_text("0")
    await desk.goto(f"{USERS}?is_superuser=false")
    await desk.get_by_label("Select all on this page").check()
    await expect(desk.get_by_text("2 selected")).to_be_visible()
    await desk.get_by_role("button", name="Deactivate").click()
    await desk.get_by_role("button", name="Deactivate 2 users").click()

    await expect(desk.get_by_text("Deactivated bob and ada")).to_be_visible()
    assert desk.url.endswith(f"{USERS}?is_superuser=false")
    assert [(await person.get("/users/me")).status_code for person in (ada, bob)] == [401, 401]
    await desk.goto(DASHBOARD)
    await expect(inactive).to_have_text("2")


async def test_a_deactivation_of_many_is_undone_by_one_click(desk, root):
    await select(desk, "ada", "bob")
    await desk.get_by_role("button", name="Deactivate").click()
    await desk.get_by_role("button", name="Deactivate 2 users").click()
    await expect(desk.get_by_text("Deactivated bob and ada")).to_be_visible()
    assert await violations(desk) == []
    await desk.set_viewport_size(PHONE)
    assert await overflow(desk) == 0

    await desk.get_by_role("button", name="Undo").click()

    await expect(desk.get_by_text("Activated bob and ada")).to_be_visible()
    listed = (await root.get("/users", params={"is_active": True})).json()
    assert len(listed["items"]) == 3


async def test_the_outcome_of_each_of_many_is_reported(desk, ada, root, watch):
    watch.expect_status(409)
    await select(desk, "ada", "root")
    await desk.get_by_role("button", name="Deactivate").click()
    await expect(desk.get_by_text("Your own account is one of them")).to_be_visible()

    await desk.get_by_role("button", name="Deactivate 2 users").click()

    await expect(desk.get_by_role("heading", name="1 of 2 refused")).to_be_visible()
    outcomes = desk.get_by_role("alert").get_by_role("listitem")
    await expect(outcomes.first).to_contain_text("At least one active superuser must remain")
    await expect(outcomes.last).to_have_text("adaDone")
    assert await violations(desk) == []
    assert (await ada.get("/users/me")).status_code == 401
    assert (await root.get("/users/me")).status_code == 200


async def test_sessions_are_shown_and_ended(desk, ada):
    await ada.login()
    user = await drawer(desk, "ada")
    await user.get_by_role("link", name="Sessions").click()
    await expect(desk.get_by_text("2 active")).to_be_visible()
    await desk.get_by_role("button", name="End all sessions").click()
    await desk.get_by_role("button", name="End the sessions of this user").click()

    await expect(desk.get_by_text("Not logged in anywhere.")).to_be_visible()
    assert (await ada.get("/users/me")).status_code == 401
    await ada.login()


async def test_a_user_is_deleted_after_a_confirmation(desk, ada):
    user = await drawer(desk, "ada")
    await user.get_by_role("button", name="Delete").click()
    await expect(user.get_by_text("This cannot be undone")).to_be_visible()
    await user.get_by_role("link", name="Cancel").click()
    await expect(user.get_by_role("link", name="History")).to_be_visible()
    assert (await ada.get("/users/me")).status_code == 200
    await user.get_by_role("button", name="Delete").click()
    await user.get_by_role("button", name="Delete this user").click()

    await expect(user).to_be_hidden()
    await expect(desk.get_by_role("status").first).to_have_text("Deleted ada")
    await expect(desk.get_by_label("Select ada")).to_have_count(0)


async def test_a_user_who_was_deleted_meanwhile_is_reported(desk, root, ada, watch):
    watch.expect_status(409)
    await desk.goto(f"{USERS}/confirm?action=activate&id={ada.id}")
    await root.delete(f"/users/{ada.id}")

    await desk.get_by_role("button", name="Activate").click()

    await expect(desk.get_by_role("alert")).to_contain_text("User not found")


async def test_without_scripts_an_empty_selection_is_an_error(open_page, root, ada):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, USERS)
    await page.get_by_role("button", name="Deactivate").click()
    await expect(page.get_by_role("alert")).to_have_text("No user is selected")
    await select(page, "ada")
    await page.get_by_role("button", name="Deactivate").click()
    await page.get_by_role("button", name="Deactivate this user").click()

    await expect(page.get_by_role("status").first).to_have_text("Deactivated ada")
    assert (await ada.get("/users/me")).status_code == 401


@pytest.mark.parametrize("view", VIEWS)
async def test_axe_finds_nothing_and_a_phone_is_wide_enough(open_page, root, ada, view):
    page = await open_page(viewport=PHONE, has_touch=True, reduced_motion="reduce")
    await log_in(page, root, VIEWS[view])
    light = await violations(page)
    await page.emulate_media(color_scheme="dark")

    assert await overflow(page) == 0
    assert light == []
    assert await violations(page) == []
