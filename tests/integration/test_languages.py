"""The pages in the language of the browser, or in the one that was chosen."""

import asyncio
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from app.admin import languages, translation
from app.admin.languages import LANGUAGES
from app.admin.rendering import environment_of
from app.admin.translation import FOLDER, PART, translation_of
from tests.account_pages import fields_of
from tests.conftest import Person
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.unit.test_words import catalog_of, texts

__all__ = ["browser"]
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
VALUES = {"none"}
"""Of settings, which are shown as they are."""
COOKIE = "__Host-backend_language"
VIEWS = (
    *(PAGE, f"{PAGE}/users", f"{PAGE}/users?search=root&is_active=true&created_from=2026-01-02"),
    *(f"{PAGE}/users/1", f"{PAGE}/users/1/edit", f"{PAGE}/users/1/sessions"),
    *(
        f"{PAGE}/users/1/history",
        f"{PAGE}/users/1/keys",
        f"{PAGE}/users/new",
        f"{PAGE}/users/upload",
    ),
    *(f"{PAGE}/users/views/new?search=x", f"{PAGE}/users/confirm?action=deactivate&id=1"),
    *(f"{PAGE}/invitations", f"{PAGE}/invitations/new", f"{PAGE}/roles", f"{PAGE}/roles/new"),
    *(
        f"{PAGE}/jobs",
        f"{PAGE}/jobs?state=done",
        f"{PAGE}/audit",
        f"{PAGE}/mail",
        f"{PAGE}/requests",
    ),
    *(f"{PAGE}/transfers", f"{PAGE}/settings", f"{PAGE}/palette", f"{PAGE}/live"),
    *(f"{PAGE}/users/999", f"{PAGE}/users?page=0", f"{PAGE}/nothing"),
    *("/account", "/account/profile", "/account/password", "/account/deletion"),
    *("/account/keys", "/account/security", "/account/confirm"),
)
PUBLIC = (
    *(PAGE, "/account/login", "/account/password-recovery", "/account/password-reset?token=x"),
    *("/account/password-reset", "/account/invitation?token=x", "/account/email-change?token=x"),
    *("/account/deletion-undo?token=x", "/account/email-verification?token=x"),
)


class Texts(HTMLParser):
    """What a page says: its text, and the attributes that are read aloud or shown."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.language = ""
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"code", "pre", "kbd", "script", "option"}:
            self._inside.append(tag)
        values = dict(attrs)
        if tag == "html":
            self.language = values.get("lang") or ""
        for name in ("aria-label", "title", "placeholder"):
            self._add(values.get(name) or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self._add(data)

    def _add(self, text: str) -> None:
        self.found.add(" ".join(text.split()).rstrip(".:"))


@pytest.fixture(scope="module")
def english() -> list[re.Pattern[str]]:
    """Patterns of what no German page may say."""
    patterns = []
    for message in catalog_of("de"):
        for text, string in zip(texts(message.id), texts(message.string), strict=True):
            parts = PART.split(re.sub(r"<[^>]*>", "", str(text)).rstrip(".:"))
            if text and text != string and re.search("[a-z]{4}", "".join(parts[::2])):
                pattern = "".join(
                    ".+" if place % 2 else re.escape(part) for place, part in enumerate(parts)
                )
                patterns.append(re.compile(pattern))
    return patterns


def assert_german(page: httpx.Response, english: list[re.Pattern[str]]) -> None:
    said = Texts(page.text)
    if "<html" in page.text:
        assert said.language == "de", page.url
    shown = said.found - VALUES
    left = [text for text in shown for one in english if one.fullmatch(text)]
    assert left == [], page.url


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def test_all_views_are_german_for_a_browser_that_asks_for_it(admin, english):
    for path in VIEWS:
        page = await admin.get(path, headers=GERMAN)

        assert page.status_code in {200, 404, 422}, path
        assert page.headers["Content-Language"] == "de"
        assert_german(page, english)


async def test_pages_without_a_login_are_german_for_a_browser_that_asks_for_it(
    browser, root, english
):
    for path in PUBLIC:
        page = await browser.get(path, headers=GERMAN)

        assert page.status_code == 200, path
        assert_german(page, english)


async def test_refused_forms_are_german(admin, root, english):
    edit = await admin.get(f"{PAGE}/users/new")
    token = re.search(r'name="csrf" value="([^"]*)"', edit.text)
    assert token is not None
    sent = {"csrf": token[1], "email": "no email", "username": "?", "password": "short"}
    for path, form in (
        ("/users/new", sent),
        ("/invitations/new", sent),
        ("/roles/new", sent | {"name": "A B"}),
        ("/users/upload", sent),
    ):
        page = await admin.post(f"{PAGE}{path}", data=form, headers=GERMAN)

        assert page.status_code in {403, 422}, path
        assert_german(page, english)


async def test_a_notice_is_german(admin, english):
    page = await admin.get("/account/profile")
    sent = {**fields_of(page, "/account/profile"), "full_name": "R", "username": "root"}
    saved = await admin.post("/account/profile", data=sent)

    assert saved.status_code == 303, saved.text
    assert "Ihr Profil ist gespeichert" in (await admin.get("/account", headers=GERMAN)).text


async def test_too_many_logins_are_refused_in_german(browser, root, english):
    browser.headers["Accept-Language"] = "de"
    for _ in range(5):
        await log_in(browser, root, password="wrong")

    answer = await log_in(browser, root, password="wrong")

    assert answer.status_code == 429
    assert re.search(
        r"Zu viele Anfragen\. Versuchen Sie es in \d+ (Sekunden?|Minuten?)", answer.text
    )
    assert_german(answer, english)


@pytest.mark.parametrize(
    ("place", "action"),
    [("/account/login", "/account/login/language"), (f"{PAGE}/users?page=1", "/account/language")],
)
async def test_a_language_is_chosen_at_the_foot_of_a_page(admin, place, action):
    if "login" in action:
        admin.cookies.clear()
    fields = fields_of(await admin.get(place), action)
    sent = {**fields, "language": "de"}

    chosen = await admin.post(action, data=sent, headers={"Referer": f"https://test{place}"})
    page = await admin.get(place, headers={"Accept-Language": "en"})

    assert chosen.status_code == 303
    assert chosen.headers["Location"] in {place, "/account"}
    cookie = chosen.headers["Set-Cookie"]
    assert f"{COOKIE}=de" in cookie
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert '<html lang="de"' in page.text
    assert '<button class="foot-button" name="language" value="en" lang="en">English' in page.text


async def test_a_page_without_a_referrer_returns_to_itself(browser, root):
    place = "/account/password-reset?token=x"
    fields = fields_of(await browser.get(place), "/account/login/language")

    chosen = await browser.post("/account/login/language", data={**fields, "language": "de"})

    assert chosen.headers["Location"] == place


@pytest.mark.parametrize("action", ["/account/language", "/account/login/language"])
async def test_a_choice_without_the_token_or_of_no_language_changes_nothing(admin, action):
    place = PAGE if action == "/account/language" else "/account/login"
    if place == "/account/login":
        admin.cookies.clear()
    fields = fields_of(await admin.get(place), action)

    forged = await admin.post(action, data={**fields, "csrf": "x", "language": "de"})
    unknown = await admin.post(action, data={**fields, "language": "<script>"})

    assert (forged.status_code, unknown.status_code) == (403, 422)
    assert COOKIE not in forged.headers.get("Set-Cookie", "")
    assert COOKIE not in unknown.headers.get("Set-Cookie", "")
    assert "<script>" not in unknown.text.replace('<script src="', "")


@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        ("fr", ""),
        ("../de", "xx-evil"),
        ("evil1", "evil2;q=1, evil3"),
        ("evil4", "evil5" * 10_000),
    ],
)
async def test_what_a_hostile_client_asks_for_is_english_and_is_not_repeated(
    browser, root, cookie, header
):
    browser.cookies.set(COOKIE, cookie)

    page = await browser.get(PAGE, headers={"Accept-Language": header})

    if page.status_code != 431:  # a header that is too long is refused before
        assert '<html lang="en">' in page.text
        assert page.headers["Content-Language"] == "en"
    assert "evil" not in page.text
    assert "evil" not in str(page.headers)


async def test_languages_of_simultaneous_requests_do_not_mix(browser, root):
    wanted = ["de", "en"] * 10

    pages = await asyncio.gather(
        *(browser.get("/account/login", headers={"Accept-Language": one}) for one in wanted)
    )

    titles = {"de": "<title>Anmelden", "en": "<title>Log in"}
    assert all(titles[one] in page.text for one, page in zip(wanted, pages, strict=True))


async def test_pages_are_not_cached_and_vary_by_the_language(browser, root):
    page = await browser.get("/account/login")

    assert page.headers["Cache-Control"] == "no-store"
    assert {"Accept-Language", "Cookie"} <= set(page.headers["Vary"].split(", "))


async def test_answers_of_the_api_stay_english(client):
    answer = await client.get("/api/v1/users/me", headers=GERMAN)

    assert answer.json()["message"] == "Not authenticated"
    assert "Content-Language" not in answer.headers


@pytest.fixture
def french(tmp_path, monkeypatch) -> Iterator[None]:
    """A further language: a catalog in the folder, and its name."""
    text = (FOLDER / "messages.pot").read_text()
    text = text.replace('msgid "Log in"\nmsgstr ""', 'msgid "Log in"\nmsgstr "Se connecter"')
    (tmp_path / "fr.po").write_text(text)
    monkeypatch.setattr(translation, "FOLDER", tmp_path)
    monkeypatch.setitem(languages.LANGUAGES, "fr", "Français")
    environment_of.cache_clear()
    yield
    environment_of.cache_clear()
    translation_of.cache_clear()


async def test_another_language_is_a_catalog_and_its_name(browser, root, french):
    page = await browser.get("/account/login", headers={"Accept-Language": "fr"})

    assert '<html lang="fr"' in page.text
    assert "<h1>Se connecter</h1>" in page.text
    assert '<label for="password">Password</label>' in page.text  # not translated yet
    assert all(name in page.text for code, name in LANGUAGES.items() if code != "fr")
