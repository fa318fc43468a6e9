"""Forms of the account pages, without a browser."""

import re
from html import unescape
from typing import Any

import httpx

from tests.conftest import PASSWORD, Person

ACCOUNT, LOGIN = "/account", "/api/v1/dashboard/login"


def fields_of(page: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of the form that goes to `action`."""
    form = re.search(rf'<form[^>]*action="{action}"(.*?)</form>', page.text, re.DOTALL)
    assert form is not None, page.text
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
    return {name: unescape(value) for name, value in hidden}


async def log_in(
    browser: httpx.AsyncClient, person: Person, place: str = ACCOUNT, **changed: Any
) -> httpx.Response:
    """Log in by the page that is shown in place of `place`."""
    fields = fields_of(await browser.get(place), LOGIN)
    sent = {**fields, "username": person.email, "password": PASSWORD, **changed}
    return await browser.post(LOGIN, data=sent)


async def send(
    browser: httpx.AsyncClient, path: str, place: str | None = None, /, **values: str
) -> httpx.Response:
    """Fill in the form of an account page, and send it.

    Args:
        browser: with its cookies.
        path: where the form goes, below `/account`.
        place: the page that has the form, if it is another one.
        values: of the fields.
    """
    action = f"{ACCOUNT}{path}"
    page = await browser.get(action if place is None else f"{ACCOUNT}{place}")
    return await browser.post(action, data={**fields_of(page, action), **values})


async def open_link(browser: httpx.AsyncClient, path: str, token: str) -> httpx.Response:
    """Follow the link of a mail."""
    return await browser.get(f"{ACCOUNT}{path}", params={"token": token})


async def use_link(
    browser: httpx.AsyncClient, path: str, token: str, **values: str
) -> httpx.Response:
    """Follow the link of a mail, and send the form there."""
    page = await open_link(browser, path, token)
    fields = fields_of(page, f"{ACCOUNT}{path}")
    return await browser.post(f"{ACCOUNT}{path}", data={**fields, **values})
