"""The pictures of the README and the docs: `make screenshots`; of every view: `ALL=folder`.

Usage: python -m tests.browser.screenshots [--all FOLDER]

A service on servers of its own, with people who do not exist and a little traffic of today, looked
at as an admin would. The same commands make alike pictures, not the same: figures are measured.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
from playwright.async_api import Browser, Page, async_playwright
from pydantic import SecretStr

from app.cli.seed import SeedService
from app.core.config import load_settings
from app.database.migrations import migrate
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.runtime import Runtime
from app.schemas.user import UserCreate
from app.services.dashboard import STATS_TTL
from main import create_app
from tests.browser.chromium import chromium
from tests.browser.serving import serving
from tests.browser.views import PUBLIC_VIEWS, VIEWS, fill
from tests.conftest import Person
from tests.tcp_proxy import TcpProxy, proxied

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
DASHBOARD = "/api/v1/dashboard"
EMAIL, PASSWORD = "grace@example.com", "correct horse battery staple"
USERS = 12_480
TRAFFIC = 20.0
"""Seconds of it, before the first picture."""
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, object]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
    "phone": {"viewport": PHONE},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
}
"""How every view is looked at, as Playwright's contexts take it."""


class Site(NamedTuple):
    """A running service.

    Attributes:
        database: the way to its database, which can be closed.
    """

    runtime: Runtime
    url: str
    database: TcpProxy


@contextmanager
def servers() -> Iterator[tuple[str, str, Path]]:
    """PostgreSQL, Redis, and a folder for what else there is to keep."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # root has to run PostgreSQL as somebody else
        with (
            EmbeddedPostgres(place / "postgres") as postgres,
            EmbeddedValkey(place / "valkey") as redis,
        ):
            yield postgres, redis, place


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A service as in production, with people in it."""
    with servers() as (postgres, redis, place):
        async with proxied(postgres) as proxy:
            settings = load_settings().replaced(
                app={"environment": "production"},
                database={"url": SecretStr(proxy.url)},
                cache={"redis_url": SecretStr(redis)},
                limiter={"redis_url": SecretStr(redis)},
                auth={"secret_key": SecretStr("a secret for pictures, and nothing else")},
                log={"level": "CRITICAL"},
            )
            app = create_app(settings, place)
            async with app.router.lifespan_context(app), serving(app) as url:
                await people(app.state.runtime)
                yield Site(app.state.runtime, url, proxy)


async def people(runtime: Runtime) -> None:
    random.seed(1)
    await migrate(runtime.engine)
    async with runtime.session_maker() as db:
        await SeedService(db, runtime.passwords).seed(USERS, PASSWORD, lambda _: None)
        users = runtime.user_service(db)
        secret = SecretStr(PASSWORD)
        await users.create_user(UserCreate(email=EMAIL, password=secret, is_superuser=True))


async def traffic(url: str) -> None:
    """What a product's people and programs ask for in a while."""
    # The server closes what was idle for 5 s, which is when httpx would use it for the last time.
    limits = httpx.Limits(keepalive_expiry=2)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", limits=limits) as client:
        login = await client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        ends = asyncio.get_running_loop().time() + TRAFFIC

        async def one() -> None:
            while asyncio.get_running_loop().time() < ends:
                path = random.choice(
                    [
                        "/users/me",
                        "/users/me",
                        f"/users/{random.randint(1, 40)}",
                        "/dashboard/stats",
                        f"/users?page={random.randint(1, 9)}&size=50",
                        "/users/cursor?search=ada",
                    ]
                )
                await client.get(path)
                await asyncio.sleep(random.uniform(0.02, 0.2))

        await asyncio.gather(*(one() for _ in range(4)))


@asynccontextmanager
async def opened(browser: Browser, url: str, **options: object) -> AsyncIterator[Page]:
    context = await browser.new_context(
        base_url=url,
        **{"viewport": DESK, "reduced_motion": "reduce", **options},  # type: ignore[arg-type]  # named one by one, they would be twice as long
    )
    yield await context.new_page()
    await context.close()


async def log_in(page: Page) -> None:
    await page.goto(DASHBOARD)
    await page.get_by_label("Email or username").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_load_state()
    await page.reload()  # the first look opens connections, which takes longer than any after it


@asynccontextmanager
async def superuser(url: str) -> AsyncIterator[Person]:
    """The one with EMAIL, logged in at the API."""
    async with httpx.AsyncClient(base_url=url) as client:
        root = Person(client, 0, EMAIL, PASSWORD)
        await root.login()
        root.id = (await root.get("/users/me")).json()["id"]
        yield root


async def shoot(page: Page, name: str, *, full: bool = True) -> None:
    """As a PNG in docs/images."""
    await page.screenshot(path=IMAGES / f"{name}.png", full_page=full)
    print(f"docs/images/{name}.png")  # noqa: T201  # a script


async def shoot_every_view(browser: Browser, site: Site, folder: Path) -> None:
    """Each view in each of LOOKS, as `view-look.png`."""
    async with superuser(site.url) as root:
        paths = await fill(site.runtime, root)
    for look, options in LOOKS.items():
        for views, is_public in (PUBLIC_VIEWS, True), (VIEWS, False):
            async with opened(browser, site.url, **options) as page:
                if not is_public:
                    await log_in(page)
                for view in views:
                    await page.goto(paths[view])
                    await page.screenshot(path=folder / f"{view}-{look}.png", full_page=True)


async def shoot_those_of_the_docs(browser: Browser, site: Site) -> None:
    IMAGES.mkdir(exist_ok=True)
    url, database = site.url, site.database
    async with opened(browser, url) as page:
        await page.goto(DASHBOARD)
        await shoot(page, "dashboard-login", full=False)
        await log_in(page)
        await shoot(page, "dashboard-light")
        await page.goto(f"{DASHBOARD}/users?search=ada")
        await shoot(page, "dashboard-users", full=False)
    async with opened(browser, url, color_scheme="dark") as page:
        await log_in(page)
        await shoot(page, "dashboard-dark")
    async with opened(browser, url, viewport=PHONE) as page:
        await log_in(page)
        await shoot(page, "dashboard-phone", full=False)
    async with opened(browser, url) as page:
        await log_in(page)
        database.close()
        await asyncio.sleep(STATS_TTL)  # what is remembered is new
        await page.reload()
        await shoot(page, "dashboard-outage", full=False)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="of every view, into a folder")
    folder = parser.parse_args().all
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium())
        await traffic(here.url)
        if folder:
            await shoot_every_view(browser, here, folder)
        else:
            await shoot_those_of_the_docs(browser, here)
        await browser.close()


if __name__ == "__main__":
    os.environ.setdefault("ENVIRONMENT", "test")
    sys.exit(asyncio.run(main()))
