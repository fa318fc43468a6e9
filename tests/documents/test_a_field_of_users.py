"""The change of docs/ADDING_A_RESOURCE.md, "A field of users", made to a copy."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from app.models import User
from tests.documents.conftest import WHOLE_SCHEMA, Checkout
from tests.documents.pages import ROOT

PAGE = ROOT / "docs" / "ADDING_A_RESOURCE.md"
FILTER = "| `phone` | `/users`, `/users/cursor`, `/users/export` | filter: the whole number |\n"
TYPE = 'Phone = Annotated[str, Field(pattern=r"^\\+[0-9]{4,15}$", examples=["+442079460958"])]\n'
EDITS = [
    (
        "app/models/user.py",
        "    hashed_password: ",
        "    phone: Mapped[str | None] = mapped_column(String(32))\n",
    ),
    ("app/schemas/user.py", "\n\nclass UserSchema(", TYPE),
    (
        "app/schemas/user.py",
        "    is_active: bool\n",
        '    phone: str | None = Field(examples=["+442079460958"])\n',
    ),
    ("app/schemas/user.py", "\n\nclass UserSignUp(", "    phone: Phone | None = None\n"),
    (
        "app/schemas/user.py",
        "    is_active: StrictBool | MISSING = MISSING\n",
        "    phone: Phone | MISSING | None = MISSING\n",
    ),
    ("app/schemas/user_list.py", "UserSchema\n\nSortBy", "Phone, "),
    (
        "app/schemas/user_list.py",
        "    search: Search",
        '    phone: Phone | None = Field(None, description="only users with this number")\n',
    ),
    (
        "app/admin/forms/users.py",
        "    is_superuser: bool = False\n",
        '    phone: Text = Field("", description="Optional")\n',
    ),
    ("README.md", "| `is_active`, `is_superuser`, `has_mfa`, `email_verified` | `/users`,", FILTER),
    ("tests/integration/test_users.py", '"full_name"),\n', '"phone", '),
    ("tests/integration/test_users.py", '"full_name")\n', '"phone", '),
    ("tests/integration/test_users.py", '"full_name", "is_active"', '"phone", '),
]
"""File, the text before which a line is added, and the line."""
IMPORTS = """\
import re
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_edit_form import opened, save
"""
TEST = """

PHONE = "+442079460958"


@pytest.mark.parametrize("way", ["sign-up", "bulk", "update", "upload"])
async def test_a_phone_number_is_stored_listed_and_exported(client, browser, root, way):
    new = {"email": "eve@example.com", "password": PASSWORD}
    await log_in(browser, root)
    if way == "sign-up":
        await client.post(USERS, json=new | {"phone": PHONE})
    elif way == "bulk":
        await root.post("/users/bulk", json=[new | {"phone": PHONE}])
    elif way == "update":
        made = await client.post(USERS, json=new)
        await root.patch(f"/users/{made.json()['id']}", json={"phone": PHONE})
    else:
        await _upload(browser, f"email,phone,password\\neve@example.com,{PHONE},{PASSWORD}\\n")

    listed = [
        (await root.get(path, params={"phone": phone})).json()["items"]
        for path in ("/users", "/users/cursor")
        for phone in (PHONE, "+1234")
    ]
    exported = await root.get("/users/export", params={"format": "ndjson", "phone": PHONE})

    (eve,), none, *by_cursor = listed
    assert (eve["email"], eve["phone"]) == ("eve@example.com", PHONE)
    assert [none, *by_cursor] == [[], [eve], []]
    assert exported.json() == eve
    assert PHONE in (await browser.get(f"{PAGE}/users/{eve['id']}")).text


async def _upload(browser, content):
    address, file = f"{PAGE}/users/upload", {"file": ("a.csv", content)}
    token = form_in(await browser.get(address), "/users/upload")
    shown = (await browser.post(address, data=token, files=file)).text
    assert "<code>phone</code>" in shown
    assert f'title="{PHONE}"' in shown
    mark = re.search('name="mark" value="([^"]+)"', shown)[1]
    await browser.post(address, data=token | {"step": "write", "mark": mark}, files=file)


async def test_a_phone_number_is_changed_by_the_form(browser, root, ada):
    await log_in(browser, root)

    saved = await save(browser, ada, await opened(browser, ada) | {"phone": PHONE})
    refused = await save(browser, ada, await opened(browser, ada) | {"phone": "none"})

    assert (saved.status_code, refused.status_code) == (303, 422)
    assert (await ada.get("/users/me")).json()["phone"] == PHONE
"""
CHECKS = (
    f"{WHOLE_SCHEMA} tests/integration/test_users.py tests/integration/test_edit_form.py "
    "tests/unit/test_seed.py tests/unit/test_documentation.py tests/clients/test_openapi.py"
)

pytestmark = [pytest.mark.direct, pytest.mark.timeout(300)]


def listed() -> list[str]:
    section = PAGE.read_text().partition("## A field of users\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def named(text: str) -> str:
    """With another field where a clone has `phone` already, since its owner followed the page."""
    if "phone" not in User.__table__.columns:
        return text
    return text.replace("phone", "fax").replace("Phone", "Fax").replace("PHONE", "FAX")


def edit(file: Path, before: str, line: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{file}: {before}"
    file.write_text(text.replace(before, named(line) + before))


def test_a_field_of_users_is_a_change_of_the_files_that_the_page_lists(checkout: Checkout):
    checkout.run("git init -q . && git add -A")
    for path, before, line in EDITS:
        edit(checkout.path / path, before, line)
    tests = checkout.path / "tests" / "integration" / "test_users.py"
    tests.write_text(named(IMPORTS) + tests.read_text() + named(TEST))
    checkout.run(".venv/bin/python -m app.cli migrate")
    checkout.run(named('.venv/bin/alembic revision --autogenerate -m "add phone"'))
    checkout.run("make openapi")

    changed = checkout.run("git diff --name-only; git ls-files -o --exclude-standard").split()
    output = checkout.run(f".venv/bin/python -m pytest -n 0 -q {CHECKS}")

    assert "failed" not in output
    assert len(listed()) <= 10
    assert len(changed) == len(listed())
    assert all(
        any(fnmatch(path, named(name).replace("…", "*")) for name in listed()) for path in changed
    )
