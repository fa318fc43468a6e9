"""All views by one list, which no route may be missing from."""

from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from tests.browser.conftest import log_in, overflow, violations
from tests.browser.people import sixty
from tests.browser.views import MAIL_VIEWS, NO_VIEWS, PUBLIC_VIEWS, VIEWS, fill

PLACES = ("/api/v1/dashboard", "/account")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "has_touch": True},
    "forced colours": {"forced_colors": "active"},
}
SHIFTED = """() => new Promise((resolve) => {
  let total = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) total += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(total), 500);
})"""
"""How far the parts of a page moved by themselves: its Cumulative Layout Shift."""
SLOW = {"offline": False, "latency": 100, "downloadThroughput": 30_000, "uploadThroughput": 30_000}
"""Bytes a second, and milliseconds: the scripts come long after the first paint."""


def test_every_route_of_a_page_is_a_view_or_is_named_as_none(app):
    served = {
        route.name
        for route in iter_route_contexts(app.routes)
        if (route.path == "/" or (route.path or "").startswith(PLACES))
        and "GET" in (route.methods or ())
        and not route.include_in_schema
    }

    assert served == {*VIEWS, *PUBLIC_VIEWS, *MAIL_VIEWS, *NO_VIEWS}


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing_and_no_view_is_too_wide(open_page, root, runtime, server, look):
    await sixty(runtime)
    paths = await fill(runtime, root)
    found = []
    for views in PUBLIC_VIEWS, VIEWS:
        page = await open_page(reduced_motion="reduce", **LOOKS[look])
        if views is VIEWS:
            await log_in(page, root)
        for view in views:
            answer = await page.goto(paths[view])
            assert answer is not None
            assert answer.status == 200, f"{view}: {answer.status}"
            found += [f"{view}: {fault}" for fault in await violations(page)]
            if (wider := await overflow(page)) > 0:
                found.append(f"{view}: {wider} px too wide")

    assert found == []


@pytest.mark.parametrize("look", ["light", "narrow"])
async def test_nothing_moves_when_the_scripts_come_late(open_page, root, runtime, server, look):
    await sixty(runtime)
    paths = await fill(runtime, root)
    page = await open_page(**LOOKS[look])
    await log_in(page, root)
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Network.enable")
    await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await devtools.send("Network.emulateNetworkConditions", SLOW)

    shifts = {}
    for view in ("dashboard_users", "dashboard_jobs", "dashboard_mail", "dashboard_user"):
        await page.goto(paths[view])
        shifts[view] = await page.evaluate(SHIFTED)

    assert {view: shift for view, shift in shifts.items() if shift > 0.005} == {}
