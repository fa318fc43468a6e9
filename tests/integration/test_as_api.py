"""«As API»: the code that a list shows gives the rows of the list, as a program runs it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from typing import Any

import httpx
import pytest

from app.admin.drawing.api_call import ApiCall
from app.core.config import Settings
from app.core.permissions import Permission
from app.runtime import Runtime
from tests.browser.serving import serving
from tests.conftest import Person, browsing, person, running
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_live_stream import cookie
from tests.integration.test_roles import give, new_role

__all__ = ["browser"]
HOSTILE = '\'; echo "$(id)" `id` \\ \u00e9\U0001f600 {x} %00 </script>'

Run = Callable[[str], list[str]]
RUNNERS: dict[str, Run] = {
    "curl": lambda code: ["bash", "-c", code.replace("curl ", "curl -sS --fail-with-body ", 1)],
    # Prints JSON, where the code prints a value of Python.
    "Python": lambda code: [sys.executable, "-c", code.replace(".json()", ".text")],
    "TypeScript": lambda code: [
        "node",
        "--input-type=module",
        "-e",
        code.replace("await response.json()", "await response.text()"),
    ],
}


def snippets(page: httpx.Response) -> dict[str, str]:
    """The code of a page by language."""
    assert page.status_code == 200, page.text
    found = re.findall(r'aria-label="([\w ]+)"><code>(.*?)</code>', page.text, re.DOTALL)
    return {name: unescape(code) for name, code in found}


async def answers(server: str, page: httpx.Response, token: str) -> list[Any]:
    """What each of the pieces of code gets from a server."""
    codes = {name: code.replace("https://test", server) for name, code in snippets(page).items()}
    assert set(codes) == set(RUNNERS)
    return [await answer(name, code, token) for name, code in codes.items()]


async def answer(name: str, code: str, token: str) -> Any:
    run = await asyncio.to_thread(
        subprocess.run,
        RUNNERS[name](code),
        env={"TOKEN": token, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, (code, run.stdout, run.stderr)
    return json.loads(run.stdout)


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    """A browser in which a superuser is logged in."""
    await log_in(browser, root)
    return browser


async def test_the_code_of_the_users_list_gets_the_users_of_the_page(
    app, admin: httpx.AsyncClient, client, runtime: Runtime, root: Person
):
    for number in range(27):
        await person(client, runtime, f"smith{number}", full_name="O'Smith \u00e9")
    await person(client, runtime, "jones")
    query: dict[str, str | int] = {
        "search": "o'smith \u00e9",
        "is_active": "true",
        "sort_by": "username",
        "page": 2,
    }
    page = await admin.get(f"{PAGE}/users", params=query)
    shown = [int(number) for number in re.findall(r'name="id" value="(\d+)"', page.text)]
    async with serving(app) as server:
        found = await answers(server, page, root.tokens["access_token"])

    assert len(shown) == 2
    assert [[user["id"] for user in one["items"]] for one in found] == [shown] * 3


async def test_the_code_of_the_audit_list_gets_the_events_of_the_page(
    app, admin: httpx.AsyncClient, root: Person, ada: Person
):
    await root.patch(f"/users/{ada.id}", json={"full_name": "Ada"})
    page = await admin.get(f"{PAGE}/audit?actor=user:{root.id}&first_day=2020-01-01")
    shown = re.findall(r"<dt>Event</dt><dd>(\d+)</dd>", page.text)
    async with serving(app) as server:
        found = await answers(server, page, root.tokens["access_token"])

    assert len(shown) >= 2
    assert [[str(event["id"]) for event in one["items"]] for one in found] == [shown] * 3


async def test_the_code_of_roles_keys_and_invitations_gets_what_they_show(
    app, admin: httpx.AsyncClient, root: Person, ada: Person
):
    await new_role(root, "curators", "users:read")
    await root.post("/users/invitations", json={"email": "new@example.com"})
    places = {
        "/roles": "curators",
        f"/users/{ada.id}/keys": None,
        "/invitations?state=pending": "new@example.com",
    }
    async with serving(app) as server:
        for place, name in places.items():
            page = await admin.get(PAGE + place)
            found = await answer(
                "curl",
                snippets(page)["curl"].replace("https://test", server),
                root.tokens["access_token"],
            )
            names = [item.get("name", item.get("email")) for item in found["items"]]
            assert name in names if name else names == []


async def test_the_token_is_named_that_the_list_takes(
    browser: httpx.AsyncClient, root: Person, ada: Person
):
    await give(root, ada, "users:read", "roles:manage")
    await log_in(browser, ada)
    users, roles = await browser.get(f"{PAGE}/users"), await browser.get(f"{PAGE}/roles")

    assert ">API key</a> with <code>users:read</code>, or an access token." in users.text
    assert "an access token of a user with <code>roles:manage</code>." in roles.text


@pytest.mark.parametrize("public", [None, "https://api.example.com"])
async def test_the_address_is_the_public_one_where_it_is_set(
    settings: Settings, client, root: Person, public: str | None
):
    """Behind a proxy that ends TLS and is not trusted, a request seems to be plain http."""
    changed = settings.replaced(mail={"link_base_url": public})
    async with running(changed) as app, browsing(app) as browser:
        browser.headers.update({**cookie(root, app.state.runtime), "Accept": "text/html"})
        page = await browser.get(f"{PAGE}/users")

    assert f"'{public or 'http://test'}/api/v1/users?" in snippets(page)["curl"]


@pytest.mark.parametrize("name", ["Python", "TypeScript", "curl"])
async def test_code_quotes_what_a_filter_has(app, root: Person, name: str):
    async with serving(app) as server:
        call = ApiCall(
            f"{server}/api/v1/users", (("search", HOSTILE), ("size", "1")), Permission.USERS_READ
        )
        found = await answer(name, dict(call.snippets)[name], root.tokens["access_token"])

    assert found["items"] == []


def test_a_call_without_parameters_has_no_query():
    call = ApiCall("https://x.example/api/v1/roles", (), Permission.ROLES_MANAGE)

    assert call.curl == 'curl -H "Authorization: Bearer $TOKEN" https://x.example/api/v1/roles\n'
    assert "params=[]" in call.python
    assert "new URLSearchParams([])" in call.typescript
