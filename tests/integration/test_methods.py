"""HEAD wherever there is GET, and OPTIONS wherever there is anything."""

import asyncio
import re

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.conftest import Person, browsing, running
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_over_the_wire import exchange, head, port
from tests.integration.test_user_export import add_users, none_is_left

__all__ = ["browser", "port"]
ORIGIN = "https://app.example.com"
LASTING = {"allow", "cache-control", "content-type", "etag", "location", "vary", "www-authenticate"}
"""Headers that do not tell of the moment or of this request."""


def lasting(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name in LASTING}


def paths(app: FastAPI) -> set[str]:
    """Of every GET, with parameters that name somebody or something."""
    named = {"version": "x", "name": "page.css", "mail_kind": "test-mail"}  # others are ids
    return {
        re.sub(r"\{(\w+)(:\w+)?\}", lambda part: named.get(part[1], "1"), route.path or "")
        for route in iter_route_contexts(app.routes)
        if "GET" in (route.methods or ())
    }


async def test_head_is_get_without_a_body_on_every_path(app, browser, root: Person):
    """C32"""
    await log_in(browser, root)
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}
    others = {"/nothing", "/api/v1/users?size=0", "/api/v1/users/4711", f"{PAGE}/users/4711"}
    assert len(paths(app)) > 25
    for path in sorted(paths(app) | others):
        got = await browser.get(path, headers=headers)
        asked = await browser.head(path, headers=headers)

        assert (asked.status_code, asked.content) == (got.status_code, b""), path
        assert set(asked.headers) == set(got.headers), path
        assert lasting(asked) == lasting(got), path


@pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/dashboard/stats", "/openapi.json"])
async def test_head_has_the_content_length_of_get(root, path):
    """C32: compressed, where GET is."""
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}", "Accept-Encoding": "gzip"}

    got = await root.client.get(path, headers=headers)
    asked = await root.client.head(path, headers=headers)

    assert asked.headers["Content-Length"] == got.headers["Content-Length"]
    assert asked.headers.get("Content-Encoding") == got.headers.get("Content-Encoding")


@pytest.mark.parametrize("path", ["/users", "/users/export", "/dashboard/stats", "/users/me"])
async def test_head_needs_the_login_that_get_needs(client, path):
    """C32"""
    assert (await client.head(f"/api/v1{path}")).status_code == 401


async def test_head_counts_as_a_read(settings, root):
    """C32"""
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}
    async with (
        running(settings.replaced(limiter={"read": "2/minute"})) as app,
        browsing(app, headers=headers) as browser,
    ):
        answers = [await browser.head("/api/v1/users/me") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_head_of_a_post_is_405(client):
    """C32"""
    response = await client.head("/api/v1/auth/login")

    assert (response.status_code, response.content) == (405, b"")
    assert response.headers["Allow"] == "OPTIONS, POST"


async def test_the_log_says_head_and_knows_the_route(root, logged):
    """C32"""
    await root.request("HEAD", f"/users/{root.id}")

    (access,) = [line for line in logged() if line["event"] == "request"]
    assert (access["method"], access["status"]) == ("HEAD", 200)
    assert (access["route"], access["principal"]) == ("/api/v1/users/{user_id}", root.id)


async def test_a_deadline_ends_head_too(settings, client, root):
    """C32"""
    async with (
        running(settings.replaced(server={"request_timeout": 0.000_001})) as app,
        browsing(app) as hasty,
    ):
        response = await hasty.head(
            "/api/v1/users", headers={"Authorization": f"Bearer {root.tokens['access_token']}"}
        )

    assert (response.status_code, response.content) == (504, b"")


async def test_head_of_an_export_reads_no_more_than_its_beginning(root, runtime, logged):
    """C32: 60,000 users would be 18 MB."""
    await add_users(runtime, 60_000)

    response = await root.request("HEAD", "/users/export")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "Content-Length" not in response.headers
    assert await none_is_left(runtime)
    (exported,) = [line for line in logged() if line["event"] == "exported"]
    assert exported["complete"] is False
    assert exported["rows"] <= 2_000
    assert not [line for line in logged() if line["level"] == "error"]


async def test_head_of_an_export_over_the_wire(port, root, runtime):
    """C32: as uvicorn, with no more than headers, and the connection serves on."""
    await add_users(runtime, 20_000)
    bearer = f"Authorization: Bearer {root.tokens['access_token']}"
    request = head("HEAD", "/api/v1/users/export", bearer, "Connection: close")

    response, body = await asyncio.to_thread(exchange, port, request)

    assert (response.status, body) == (200, b"")
    assert await none_is_left(runtime)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/users/me", "GET, HEAD, OPTIONS, PATCH"),
        ("/api/v1/users/7", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/api/v1/auth/login", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        (f"{PAGE}/users/new", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_options_lists_the_allowed_methods(client, path, allow):
    """C32: to anybody, and so does a 405."""
    asked = await client.options(path)
    refused = await client.put(path)

    assert (asked.status_code, asked.content) == (204, b"")
    assert (refused.status_code, refused.headers["Allow"]) == (405, allow)
    assert asked.headers["Allow"] == allow
    assert "x-request-id" in asked.headers


async def test_options_of_what_is_not_there_is_404(client):
    """C32"""
    assert (await client.options("/api/v1/nothing")).status_code == 404


async def test_a_preflight_is_answered_as_ever_and_names_head(settings, client):
    """C32"""
    async with (
        running(settings.replaced(cors={"origins": (ORIGIN,)})) as app,
        browsing(app, headers={"Origin": ORIGIN}) as elsewhere,
    ):
        preflight = await elsewhere.options(
            "/api/v1/users", headers={"Access-Control-Request-Method": "PATCH"}
        )
        plain = await elsewhere.options("/api/v1/users")

    assert preflight.status_code == 200
    assert "HEAD" in preflight.headers["Access-Control-Allow-Methods"].split(", ")
    assert (plain.status_code, plain.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)


def test_the_document_has_no_head_operations(app):
    """C32"""
    methods = {method for item in app.openapi()["paths"].values() for method in item}

    assert not methods & {"head", "options"}
