"""A real Chromium, on the run's application. What any page does wrong fails its test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Route,
    async_playwright,
    expect,
)

from tests.browser.chromium import chromium as chromium_path
from tests.browser.serving import serving
from tests.conftest import Person
from tests.mailbox import Mailbox

DASHBOARD = "/api/v1/dashboard"
PHONE = {"width": 360, "height": 740}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
expect.set_options(timeout=20_000)  # 5 s are too few on a busy machine

OpenPage = Callable[..., Awaitable[Page]]


@dataclass
class Watch:
    """What the pages of a test did that no page should.

    Attributes:
        expected: parts of messages that belong to the test.
        faults: errors in the console, scripts' exceptions, violations of the policy, which Chromium
            tells in the console as well, and requests to other hosts.
    """

    server: str
    expected: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        page.on("console", self._message)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._request)

    def expect_status(self, status: int) -> None:
        """Chromium tells in the console of every answer that is a refusal."""
        self.expected.add(f"responded with a status of {status}")

    def _message(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if not any(part in message.text for part in self.expected):
            self.faults.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.server}/"):
            self.faults.append(f"asked another host: {request.url}")


@pytest.fixture(scope="session")
async def server(app) -> AsyncIterator[str]:
    """The address of the application that the other fixtures are about."""
    async with serving(app) as url:
        yield url


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path())
        yield browser
        await browser.close()


@pytest.fixture
async def watch(server) -> AsyncIterator[Watch]:
    watch = Watch(server)
    yield watch
    assert watch.faults == []


@pytest.fixture
async def open_page(chromium, server, client, watch) -> AsyncIterator[OpenPage]:
    """Opens a page with cookies of its own: `await open_page(color_scheme="dark")`, with whatever
    Playwright's contexts take. The database is empty, as with `client`."""
    contexts = []

    async def open_one(**options: Any) -> Page:
        context = await chromium.new_context(**{"base_url": server, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page: Page = await context.new_page()
        watch.over(page)
        return page

    yield open_one
    for context in contexts:
        await context.close()


@pytest.fixture
async def page(open_page: OpenPage) -> Page:
    """Nobody is logged in."""
    return await open_page()


@pytest.fixture
async def root_page(page: Page, root: Person) -> Page:
    """The overview, `root` being logged in."""
    await log_in(page, root)
    assert await page.title() == "Overview · Backend API"
    return page


async def log_in(page: Page, person: Person, place: str = DASHBOARD, password: str = "") -> None:
    """Fill the login form in that is shown in place of `place`, and send it."""
    await page.goto(place)
    await page.get_by_label("Email or username").fill(person.email)
    await page.get_by_label("Password").fill(password or person.password)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_load_state()


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with what is shown: rule, place and reason."""
    await page.evaluate(AXE)
    report = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{rule['id']} {node['target']}: {node['failureSummary']}"
        for rule in report["violations"]
        for node in rule["nodes"]
    ]


async def held_back(page: Page, url: str) -> asyncio.Event:
    """Let requests for `url` wait until the event is set, as on a slow network."""
    come = asyncio.Event()

    async def come_late(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route(url, come_late)
    return come


async def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    wider: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wider


async def assert_accessible(open_page: OpenPage, person: Person, path: str) -> None:
    """Check that axe finds nothing in a view, in both themes, and that it fits a phone."""
    page = await open_page(reduced_motion="reduce")  # no colour is half-way to another
    await log_in(page, person, path)
    for scheme in THEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == []
    phone = await open_page(viewport=PHONE, has_touch=True)
    await log_in(phone, person, path)
    assert await overflow(phone) == 0


@pytest.fixture
async def mailbox(client, runtime) -> Mailbox:
    return Mailbox(runtime)


async def follow(page: Page, mailbox: Mailbox, subject: str = "") -> None:
    """Click on the link of the one mail that arrives now, on a page of another site: the browser
    sends no `SameSite=Strict` cookie with it."""
    link = urlsplit(await mailbox.link(subject))
    here = urlsplit(page.url)
    await page.goto("about:blank")
    target = f"{here.scheme}://{here.netloc}{link.path}?{link.query}"
    await page.set_content(f'<a href="{target}">Open</a>')
    async with page.expect_request(target) as sent:
        await page.get_by_role("link", name="Open").click()
    assert "cookie" not in await (await sent.value).all_headers()
    await page.wait_for_url(target)
