"""S7: whatever a client sends, the answer to it cannot fail: headers that are no addresses, pages
that cannot be rendered, and middlewares that parse."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.admin.errors import handler as page_errors
from app.admin.services.users import AdminUserService
from app.core import details as core_details
from app.core.config import Settings
from main import create_app
from tests.conftest import browsing
from tests.integration.test_dashboard_page import PAGE, form_in, log_in

NO_ADDRESSES = [
    "http://[",
    "//[::1",
    "http://a]b",
    "http://\uff03\u2100",
    "\\\\",
    "",
    "http://[::1",
]
AS_SENT = [address.encode().decode("latin-1") for address in NO_ADDRESSES]


@pytest.fixture
async def browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        yield browser


@pytest.mark.parametrize("address", AS_SENT, ids=repr)
@pytest.mark.parametrize("header", ["Referer", "Origin"])
@pytest.mark.parametrize("path", ["/login", "/logout", "/users/new", "/users/confirm"])
async def test_a_form_with_a_header_that_is_no_address(browser, root, header, address, path):
    """A raw 500 without shape or request id."""
    await log_in(browser, root)

    for accept in ("text/html", "application/json"):
        response = await browser.post(
            PAGE + path,
            data={"username": "x", "password": "y"},
            headers={header: address.encode("latin-1"), "Accept": accept},
        )

        assert response.status_code in {401, 403}
        assert response.headers["X-Request-ID"]
        assert response.headers["Content-Type"].startswith(accept)


@pytest.mark.parametrize("address", NO_ADDRESSES, ids=repr)
async def test_an_invalid_return_url_leads_to_the_overview(browser, root, address):
    answer = await log_in(browser, root, next=address)

    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    shown = await browser.get(f"{PAGE}/users/{root.id}", params={"back": address})
    assert shown.status_code == 200


@pytest.mark.parametrize("address", NO_ADDRESSES, ids=repr)
async def test_a_login_that_is_refused_keeps_the_page_whatever_the_way_back(browser, address):
    login = await browser.get(PAGE)
    fields = {"username": "x", "password": "y", **form_in(login, "/login"), "next": address}

    response = await browser.post(f"{PAGE}/login", data=fields)

    assert response.status_code == 401
    assert "Incorrect email or password" in response.text


@pytest.mark.parametrize("host", ["[", "[::1", "a]b", "http://[", "", "a b"])
@pytest.mark.parametrize("path", ["/", PAGE, f"{PAGE}/users", "/docs", "/api/v1/users/me"])
async def test_an_invalid_host_is_no_server_error(app, client, path, host):
    response = await client.get(path, headers={"Host": host})

    assert response.status_code < 500


@pytest.mark.parametrize("host", ["[", "[::1", "a]b", "http://[", ""])
async def test_a_host_that_is_none_where_https_is_forced(app, settings: Settings, host):
    """The redirect is made of the Host header, outside the exception handlers."""
    strict = create_app(
        settings.replaced(server={"force_https": True, "trusted_hosts": ("test", "*.example.com")})
    )
    async with strict.router.lifespan_context(strict), browsing(strict) as client:
        response = await client.get("/", headers={"Host": host})

    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.status_code in {307, 400}
    if response.status_code == 400:
        assert response.json()["request_id"] == response.headers["X-Request-ID"]


async def test_a_middlewares_refusal_is_a_page_to_a_browser(app: FastAPI, browser):
    limit = app.state.runtime.settings.server.max_body_bytes

    response = await browser.post(f"{PAGE}/users/upload", content=b"x" * (limit + 1))

    assert response.status_code == 413
    assert response.headers["Content-Type"].startswith("text/html")
    assert "The request body is too large" in response.text


async def test_a_view_that_fails_is_a_page_and_is_logged_once(browser, root, logged, monkeypatch):
    async def broken(*_: object) -> None:
        raise ValueError("the view's own fault")

    monkeypatch.setattr(AdminUserService, "existing", broken)
    await log_in(browser, root)

    response = await browser.get(f"{PAGE}/users/confirm?action=delete&id=1")

    assert response.status_code == 500
    assert "Something went wrong on our side" in response.text
    assert "own fault" not in response.text
    events = [line["event"] for line in logged() if line["logger"] == "app.errors"]
    assert events == ["unhandled_exception"]


async def test_a_page_that_cannot_be_rendered_is_an_answer_in_json(browser, logged, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("the renderer's own fault")

    monkeypatch.setattr(page_errors, "error_page", broken)

    response = await browser.get(f"{PAGE}/users")

    assert response.status_code == 401
    assert response.json()["error"] == "login_required"
    (line,) = [line for line in logged() if line["event"] == "error_page_failed"]
    assert "the renderer's own fault" in str(line["exception"])


async def test_a_handler_that_fails_is_a_500_in_the_one_shape(app: FastAPI, client, monkeypatch):
    """A detail that cannot be encoded fails where the answer is rendered."""
    monkeypatch.setattr(core_details, "_field", lambda _: "\ud800")

    response = await client.post("/api/v1/auth/login", json={})

    assert response.status_code == 500
    assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert response.json()["error"] == "internal_error"
