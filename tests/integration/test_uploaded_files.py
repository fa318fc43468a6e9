"""Files of users as people have them: our own export, and what spreadsheets save."""

import re

import httpx
import pytest
from sqlalchemy import text

from tests.conftest import PASSWORD, Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in

__all__ = ["browser"]
UPLOAD = f"{PAGE}/users/upload"


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def send(
    admin: httpx.AsyncClient, content: bytes, name: str = "people.csv", **fields: str
) -> httpx.Response:
    token = form_in(await admin.get(UPLOAD), "/logout")["csrf"]
    return await admin.post(UPLOAD, data={"csrf": token, **fields}, files={"file": (name, content)})


async def create(
    admin: httpx.AsyncClient, content: bytes, name: str = "people.csv"
) -> httpx.Response:
    """Check a file, and create its users if it can."""
    checked = await send(admin, content, name)
    marks = re.findall(r'name="mark" value="([^"]*)"', checked.text)
    assert checked.status_code == 200
    assert marks, checked.text
    return await send(admin, content, name, step="write", mark=marks[0])


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
async def test_our_own_export_creates_the_users_without_a_password(
    admin, root, client, runtime, ada, bob, kind
):
    """Issue 22: it was refused, since an export has no passwords."""
    await root.patch(f"/users/{bob.id}", json={"full_name": "Bob; B.", "is_active": False})
    exported = await root.get(f"/users/export?format={kind}&is_superuser=false")
    async with runtime.session_maker() as db:
        await db.execute(text("DELETE FROM users WHERE NOT is_superuser"))
        await db.commit()

    checked = await send(admin, exported.content, f"users.{kind}")
    created = await create(admin, exported.content, f"users.{kind}")

    users = (await root.get("/users?sort_by=email&sort_order=asc&is_superuser=false")).json()
    shown = [(user["email"], user["full_name"], user["is_active"]) for user in users["items"]]
    assert "The file has no passwords" in checked.text
    assert created.status_code == 303
    assert shown == [(ada.email, None, True), (bob.email, "Bob; B.", False)]
    login = {"email": ada.email, "password": PASSWORD}
    assert (await client.post("/api/v1/auth/login", json=login)).status_code == 401


async def test_a_row_without_a_password_is_a_fault_where_another_has_one(admin):
    content = f"email,password\na@example.com,{PASSWORD}\nb@example.com,\n"

    checked = await send(admin, content.encode())

    assert "1 of 2 rows cannot be created" in checked.text
    assert "give either a password or a hashed_password" in checked.text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
async def test_a_file_is_taken_as_a_spreadsheet_saves_it(admin, root, delimiter, encoding):
    """Issue 22: other separators, other encodings and headers in another case were refused."""
    rows = [
        ["E-Mail".replace("-", ""), "Full Name", "PASSWORD"],
        ["zoe@example.com", "Zoë Müller", PASSWORD],
    ]
    content = "\r\n".join(delimiter.join(row) for row in rows)

    created = await create(admin, content.encode(encoding))

    assert created.status_code == 303
    (user,) = (await root.get("/users?search=zoe")).json()["items"]
    assert user["full_name"] == "Zoë Müller"
