"""The client of docs/CLIENTS.md in the tabs of a real browser, on another origin than the API."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright

from tests.browser.chromium import chromium as chromium_path
from tests.clients.conftest import SUPERUSER, Site, fresh_site
from tests.conftest import PASSWORD, Servers

pytestmark = pytest.mark.direct
PAGE = """<!doctype html>
<title>A product</title>
<link rel="icon" href="data:,">
<script type="importmap">
  {"imports": {"openapi-fetch": "/node_modules/openapi-fetch/dist/index.mjs"}}
</script>
<script type="module">
  import { browserStore, createApi } from "/src/client.js";
  window.store = browserStore;
  window.api = createApi("URL", browserStore);
</script>
"""
LOG_IN = f"""api.POST("/api/v1/auth/login", {{
  body: {{ email: "{SUPERUSER}", password: "{PASSWORD}" }},
}}).then(({{ data }}) => store.write(data))"""
EXPIRE = 'store.write({ ...store.read(), access_token: "expired" })'
WHO = 'api.GET("/api/v1/users/me").then(({ data }) => data?.email)'


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def origin(compiled: Path) -> Iterator[str]:
    """The origin of a server of static files, beside which `localhost` is another one."""
    handler = partial(Quiet, directory=str(compiled.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
async def site(
    servers: Servers, origin: str, compiled: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    async with fresh_site(servers, folder, CORS_ORIGINS=origin) as site:
        (compiled.parent / "index.html").write_text(PAGE.replace("URL", site.url))
        yield site


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=chromium_path())
        yield await chromium.new_context()
        await chromium.close()


async def tab(browser: BrowserContext, origin: str) -> Page:
    page = await browser.new_page()
    await page.goto(origin)
    await page.wait_for_function("window.api !== undefined")
    return page


async def test_two_tabs_that_refresh_at_once_both_stay_logged_in(browser, origin):
    tabs = [await tab(browser, origin), await tab(browser, origin)]
    refreshes = []
    browser.on("request", lambda request: refreshes.append((request.method, request.url)))
    await tabs[0].evaluate(LOG_IN)
    await tabs[0].evaluate(EXPIRE)

    at_once = await asyncio.gather(*(one.evaluate(WHO) for one in tabs))
    later = [await one.evaluate(WHO) for one in tabs]

    sent = [url for method, url in refreshes if method == "POST" and url.endswith("/refresh")]
    assert at_once == later == [SUPERUSER, SUPERUSER]
    # One, unless the other tab's process sees the stored tokens late: the grace allows for that.
    assert 1 <= len(sent) <= 2


async def test_a_page_of_an_origin_that_is_not_named_reads_nothing(browser, origin):
    page = await tab(browser, origin.replace("127.0.0.1", "localhost"))

    refused = await page.evaluate(f"{LOG_IN}.catch((error) => error.name)")

    assert refused == "TypeError"
