"""Query parameters: those that a route does not declare are refused by name, and so is a second
value where one is meant."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from app.api.routing import StrictRoute
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in

__all__ = ["browser"]
UNKNOWN = "unknown query parameter"


def details(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 422, response.text
    found: list[dict[str, Any]] = response.json()["details"]
    return found


@pytest.mark.parametrize(
    ("path", "name", "meant"),
    [
        ("/users?is_superusr=true", "is_superusr", "is_superuser"),
        ("/users?page_size=5", "page_size", "size"),
        ("/users?Search=x", "Search", "search"),
        ("/users/cursor?page=2", "page", None),
        ("/users/export?serach=x", "serach", "search"),
        ("/users/export?fromat=ndjson", "fromat", "format"),
        ("/users/me?expand", "expand", None),
        ("/users/1?full=", "full", None),
        ("/dashboard/stats?fresh=1", "fresh", None),
        ("/metrics/requests?minutes=1", "minutes", None),
        ("/auth/sessions?pages=1", "pages", "page"),
    ],
)
async def test_an_unknown_parameter_is_refused_by_name(root, path, name, meant):
    """C14"""
    (detail,) = details(await root.get(path))

    hint = f", did you mean {meant}?" if meant else ""
    assert detail == {"field": name, "message": UNKNOWN + hint, "code": "unknown"}


@pytest.mark.parametrize(
    "path", ["/", "/health", "/health/live", "/health/ready", "/docs", "/redoc", "/openapi.json"]
)
async def test_there_is_no_route_without_it(client, path):
    """C14"""
    (detail,) = details(await client.get(path, params={"verbose": "1"}))

    assert detail["field"] == "verbose"


def test_every_route_of_ours_is_strict(app):
    """C14"""
    lenient = {
        route.path
        for route in iter_route_contexts(app.routes)
        if not isinstance(route.original_route, StrictRoute)
    }

    assert lenient == set()


async def test_a_bulk_is_not_created_where_dry_run_is_misspelt(root):
    """C14: the worst of its kind, a preview that writes."""
    rows = [{"email": "new@example.com", "password": "correct horse battery staple"}]

    (detail,) = details(await root.post("/users/bulk?dryrun=true", json=rows))

    assert detail == {
        "field": "dryrun",
        "message": f"{UNKNOWN}, did you mean dry_run?",
        "code": "unknown",
    }
    assert (await root.get("/users")).json()["total"] == 1


@pytest.mark.parametrize(
    "query", ["page=1&page=2", "is_active=true&is_active=false", "search=a&search=a"]
)
async def test_a_second_value_is_refused_where_one_is_meant(root, query):
    """C14: the last one would win."""
    (detail,) = details(await root.get(f"/users?{query}"))

    assert detail == {
        "field": query.partition("=")[0],
        "message": "should be given once",
        "code": "repeated",
    }


async def test_all_errors_of_a_query_are_reported_together(root):
    """C14"""
    found = details(await root.get("/users?is_superusr=true&size=0&sort_by=hair"))

    assert [detail["field"] for detail in found] == ["is_superusr", "sort_by", "size"]


async def test_a_name_that_looks_like_none_is_not_repeated_and_no_value_is(root):
    """C14"""
    response = await root.get("/users?<script>=hunter2&" + "a" * 5000 + "=hunter2&%ff=hunter2")

    assert [detail["field"] for detail in details(response)] == ["query"] * 3
    assert not any(text in response.text for text in ("hunter2", "script", "aaa"))


async def test_the_details_are_bounded(root):
    """C14"""
    found = details(await root.get("/users?" + "&".join(f"x{n}=" for n in range(200))))
    too_many = details(await root.get("/users?" + "&" * 20_000))

    assert len(found) == 100
    assert found[-1] == {
        "field": "query",
        "message": "101 more query parameters are not accepted",
        "code": "unknown",
    }
    assert too_many == [
        {
            "field": "query",
            "message": "at most 200 query parameters are accepted",
            "code": "too_long",
        }
    ]


async def test_missing_permission_is_reported_before_unknown_parameters(client, ada):
    """C14"""
    assert (await client.get("/api/v1/users?x=1")).status_code == 401
    assert (await ada.get("/users?x=1")).status_code == 403
    assert (await client.get("/api/v1/nothing?x=1")).status_code == 404
    assert (await client.put("/api/v1/users/me?x=1")).status_code == 405


async def test_limits_count_what_is_refused(client):
    """C14"""
    body = {"email": "ada@example.com", "password": "wrong"}

    answers = [await client.post("/api/v1/auth/login?x=1", json=body) for _ in range(31)]

    assert [answer.status_code for answer in answers] == [422] * 30 + [429]


class Ways(HTMLParser):
    """The addresses that a page leads to: its links, and what its forms send by GET."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[tuple[str, list[tuple[str, str]], list[tuple[str, str]]]] = []
        self._in_form = False
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        sent = {name: value or "" for name, value in attrs}
        self.links |= {sent[name] for name in ("href", "src", "hx-get") if name in sent}
        if tag == "form":
            self._in_form = sent["method"] == "get"
            if self._in_form:
                self.forms.append((sent["action"], [], []))
        elif self._in_form and tag in {"input", "select", "button"} and "name" in sent:
            _, fields, buttons = self.forms[-1]
            (buttons if tag == "button" else fields).append((sent["name"], sent.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._in_form = self._in_form and tag != "form"

    def addresses(self) -> Iterator[str]:
        yield from (link for link in self.links if link.startswith("/"))
        for action, fields, buttons in self.forms:
            for button in [[one] for one in buttons] or [[]]:
                yield f"{action}?{httpx.QueryParams([*fields, *button])}"


async def test_every_link_and_form_of_the_page_is_followed(browser, root: Person, bob: Person):
    """C14: none of them sends what is not declared, an empty filter among it."""
    await log_in(browser, root)
    start = [
        PAGE,
        f"{PAGE}/users",
        f"{PAGE}/users?search=o&is_active=true&sort_by=email&sort_order=asc",
        f"{PAGE}/users?page=7&sort_by=username",
        f"{PAGE}/users/{bob.id}?back={PAGE}/users?search=o",
    ]
    seen: dict[str, int] = {}
    for depth in range(3):
        for address in start:
            if address not in seen:
                page = await browser.get(address)
                seen[address] = page.status_code
                if depth < 2 and page.headers["Content-Type"].startswith("text/html"):
                    start = [*start, *Ways(page).addresses()]

    assert len(seen) > 30
    assert {address for address, status in seen.items() if status not in {200, 303}} == set()


async def test_a_view_with_an_unknown_parameter_is_a_page_that_names_it(browser, root: Person):
    """C14"""
    await log_in(browser, root)

    page = await browser.get(f"{PAGE}/users?is_superusr=true")

    assert page.status_code == 422
    assert page.headers["Content-Type"].startswith("text/html")
    assert "is_superusr" in page.text
