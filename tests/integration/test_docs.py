"""`/docs`, `/redoc` and `/openapi.json`: their files, their policy, and the switch."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from app.api.docs.pages import assets
from app.api.static_files import PART
from tests.conftest import browsing, running

PAGES = ("/docs", "/redoc")
SCRIPT = f"/docs/static/{assets.version}/vendor/swagger-ui-bundle.js"


@pytest.fixture
async def without_docs(settings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(settings.replaced(docs={"enabled": False})) as app, browsing(app) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_names_only_files_of_ours_and_each_is_there(client, path):
    page = await client.get(path)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert [name for name in files if name.startswith("/docs/static/")]
    for name in files:
        assert name.startswith("/") or name == "data:,"
        if name.startswith("/"):
            response = await client.get(name)
            assert response.status_code == 200, name


@pytest.mark.parametrize("path", PAGES)
async def test_the_policy_of_a_page_allows_nothing_inline_and_no_other_host(client, path):
    policy = (await client.get(path)).headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))

    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert "unsafe" not in policy
    assert "//" not in policy
    assert "*" not in policy


async def test_a_page_has_the_name_of_the_service_as_text(settings):
    named = settings.replaced(app={"app_name": "<b>Acme</b>"})
    async with running(named) as app, browsing(app) as client:
        page = await client.get("/docs")

    assert "<title>&lt;b&gt;Acme&lt;/b&gt; - Swagger UI</title>" in page.text


async def test_the_document_is_that_of_the_application(app, client):
    response = await client.get("/openapi.json")

    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == json.loads(json.dumps(app.openapi()))


async def test_a_file_is_cached_for_good_and_comes_compressed(client):
    plain = await client.get(SCRIPT, headers={"Accept-Encoding": "identity"})
    async with client.stream("GET", SCRIPT, headers={"Accept-Encoding": "gzip"}) as response:
        packed = b"".join([part async for part in response.aiter_raw()])

    assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain.headers["Vary"] == response.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["Content-Type"].startswith("text/javascript")
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) == len(packed) < len(plain.content) / 3
    assert gzip.decompress(packed) == plain.content == assets.files[SCRIPT.split("/", 4)[4]].body


async def test_a_licence_is_served_with_its_script(client):
    response = await client.get(f"{SCRIPT}.LICENSE.txt")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "name", ["nothing.js", "vendor/README.md", "%2e%2e/pages.py", "../pages.py", "vendor"]
)
async def test_nothing_else_of_the_folder_is_served(client, name):
    assert (await client.get(f"/docs/static/{assets.version}/{name}")).status_code == 404


async def test_a_client_that_does_not_read_is_sent_one_part(app):
    """What is sent and not read is held in memory, for each of its connections."""
    sent: list[bytes] = []
    is_blocked = asyncio.Event()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if body := message.get("body"):
            sent.append(body)
            is_blocked.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        request = asyncio.create_task(app(scope_of(SCRIPT), receive, send))
        await is_blocked.wait()
        request.cancel()

    assert [len(part) for part in sent] == [PART]


def scope_of(path: str) -> Scope:
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"}
    scope |= {"method": "GET", "scheme": "http", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "root_path": "", "headers": [(b"host", b"test")]}
    return scope | {"client": ("192.0.2.7", 4711), "server": ("test", 80)}


@pytest.mark.parametrize("path", [*PAGES, "/openapi.json", SCRIPT, "/docs/oauth2-redirect"])
async def test_switched_off_they_are_404_in_the_one_shape(without_docs, path):
    response = await without_docs.get(path, headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert response.json()["error"] == "not_found"
    assert set(response.json()) == {"error", "message", "details", "request_id"}


async def test_switched_off_no_page_links_to_them(without_docs, client):
    with_them = await client.get("/api/v1/dashboard", headers={"Accept": "text/html"})
    without = await without_docs.get("/api/v1/dashboard", headers={"Accept": "text/html"})

    assert 'href="/docs"' in with_them.text
    assert "/docs" not in without.text


async def test_switched_off_the_rest_is_as_before(without_docs):
    assert (await without_docs.get("/health")).status_code == 200
    assert (await without_docs.get("/api/v1/users/me")).status_code == 401
