"""The notice of a form waits for the page that shows it, whatever parts are loaded meanwhile."""

import httpx
import pytest

from app.admin.page import Notice
from app.admin.rendering import PANEL
from tests.browser.serving import serving
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.integration.test_edit_form import fields_of
from tests.integration.test_live_stream import cookie

__all__ = ["browser"]
NOTICE = "__Host-backend_notice"
SAVED = "Saved ada"


@pytest.fixture
async def saved(browser: httpx.AsyncClient, root: Person, ada: Person) -> httpx.AsyncClient:
    """A browser that was told to show the page after a form, and has not asked for it yet."""
    await log_in(browser, root)
    place = f"{PAGE}/users/{ada.id}/edit"
    fields = fields_of(await browser.get(place))
    answer = await browser.post(place, data={**fields, "full_name": "Ada King"})
    assert (answer.status_code, NOTICE in browser.cookies) == (303, True)
    return browser


@pytest.mark.parametrize("part", ["/live", "/palette?search=ada", "/users?search=ada", "/requests"])
async def test_a_part_that_a_script_loads_leaves_the_notice(saved, part):
    """A refresh of the overview in another tab showed it to nobody."""
    loaded = await saved.get(f"{PAGE}{part}", headers={"HX-Request": "true", "HX-Target": "main"})
    page = await saved.get(f"{PAGE}/users")
    after = await saved.get(f"{PAGE}/users")

    assert loaded.status_code == 200
    assert [SAVED in one.text for one in (loaded, page, after)] == [False, True, False]


async def test_a_stream_leaves_the_notice(app, client, root, runtime):
    headers = cookie(root, runtime)
    headers["Cookie"] += f"; {NOTICE}={runtime.forms.seal(Notice(SAVED))}"
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url) as browser,
        browser.stream("GET", f"{PAGE}/live", headers=headers) as stream,
    ):
        assert stream.status_code == 200
        assert NOTICE not in str(stream.headers.get_list("Set-Cookie"))


async def test_a_panel_shows_the_notice_once(saved, ada):
    headers = {"HX-Request": "true", "HX-Target": PANEL}
    panel = await saved.get(f"{PAGE}/users/{ada.id}", headers=headers)
    page = await saved.get(f"{PAGE}/users")

    assert [SAVED in one.text for one in (panel, page)] == [True, False]
