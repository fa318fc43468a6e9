"""One spelling: whoever signs up logs in with the same characters, by whatever door they came."""

import json
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import bcrypt
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.core.security import PasswordHasher
from app.core.security.passwords import hashing
from app.database.migrations import migrate
from app.runtime import Runtime
from app.schemas.user import UserCreate
from app.services.user.file_parser import UserFile
from app.user_import.batches import import_users
from main import create_app
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.databases import engine_of, new_database
from tests.turkish import new_turkish_database, turkish_server

LOGIN, TOKEN, USERS = "/api/v1/auth/login", "/api/v1/auth/token", "/api/v1/users"
PAGE = "/api/v1/dashboard"
NFD = "jose\u0301"
NFC = "jos\u00e9"
EMAILS = {
    "ada@xn--mnchen-3ya.de": "ada@münchen.de",
    "ADA@XN--MNCHEN-3YA.DE": "ada@münchen.de",
    "ada@MÜNCHEN.de": "ada@münchen.de",
    f"{NFD}@example.com": f"{NFC}@example.com",
    f"{NFC.upper()}@EXAMPLE.com": f"{NFC}@example.com",
    "ada@ｅxample.com": "ada@example.com",
    "ada@example。com": "ada@example.com",
    " ada@example.com\u3000": "ada@example.com",
    "İlk@example.com": "i\u0307lk@example.com",
    "ΟΔΟΣ@example.com": "οδος@example.com",
}
NAMES = [
    "山田　太郎",
    "Jean\u00a0Luc",
    "علی\u200cرضا",
    "👩\u200d💻",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "❤\ufe0f",
    "\U0001fae8 shaking",  # younger than Python 3.11
    "O\u2019Brien",
    "N\u0303a\u0303",
    "ᄀ\u1161ᆨ",
    "שלום\u200e",
]
REFUSED_NAMES = [
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "a\u202eb",
    "a\u202ab",
    "a\u2066b",
    "a\u2069b",
    "a\ue000b",
    "a\ufdd0b",
    "a\U0010ffffb",
    "\u200d",
    "\u3000\u00a0",
]


async def status_of_logins(client: httpx.AsyncClient, login: str, password: str) -> list[int]:
    """By JSON and by the OAuth2 form."""
    by_json = await client.post(LOGIN, json={"email": login, "password": password})
    by_form = await client.post(TOKEN, data={"username": login, "password": password})
    return [by_json.status_code, by_form.status_code]


@pytest.fixture
async def browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, as a browser does, and so speaks https."""
    async with browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        yield browser


async def log_in_to_page(
    browser: httpx.AsyncClient, login: str, password: str = PASSWORD
) -> httpx.Response:
    page = await browser.get(PAGE)
    csrf = re.search(r'name="csrf" value="([^"]*)"', page.text)
    assert csrf is not None
    form = {"username": login, "password": password, "csrf": csrf[1]}
    return await browser.post(f"{PAGE}/login", data=form)


async def by_sign_up(client: httpx.AsyncClient, **values: str) -> None:
    response = await client.post(USERS, json=values)
    assert response.status_code == 201, response.text


async def by_list(root: Person, **values: str) -> None:
    response = await root.post("/users/bulk", json=[values])
    assert response.status_code == 201, response.text


async def by_patch(root: Person, **values: str) -> None:
    made = {"email": "before@example.com", "password": values["password"]}
    user = (await root.post("/users", json=made)).json()
    changed = await root.patch(f"/users/{user['id']}", json={"email": values["email"]})
    assert changed.status_code == 200, changed.text


async def by_page(browser: httpx.AsyncClient, root: Person, **values: str) -> None:
    await log_in_to_page(browser, root.email)
    form = await browser.get(f"{PAGE}/users/new")
    csrf = re.search(r'name="csrf" value="([^"]*)"', form.text)
    assert csrf is not None
    made = await browser.post(f"{PAGE}/users/new", data={**values, "csrf": csrf[1]})
    assert made.status_code == 303, made.text


async def by_file(runtime: Runtime, folder: Path, **values: str) -> None:
    file = folder / "users.ndjson"
    file.write_text(json.dumps(values) + "\n")
    outcome = await import_users(
        runtime, UserFile.on_disk(file), folder / "errors.ndjson", lambda _: None
    )
    assert outcome.imported == 1, (folder / "errors.ndjson").read_text()


@pytest.mark.parametrize("email", EMAILS)
@pytest.mark.parametrize("door", ["sign-up", "list", "patch", "page", "file"])
async def test_c3_an_email_logs_in_as_it_was_typed_and_as_it_is_stored(
    client, browser, runtime, root, tmp_path, door, email
):
    """C3."""
    values = {"email": email, "password": PASSWORD}
    await {
        "sign-up": lambda: by_sign_up(client, **values),
        "list": lambda: by_list(root, **values),
        "patch": lambda: by_patch(root, **values),
        "page": lambda: by_page(browser, root, **values),
        "file": lambda: by_file(runtime, tmp_path, **values),
    }[door]()

    as_typed = await status_of_logins(client, email, PASSWORD)
    as_stored = await status_of_logins(client, EMAILS[email], PASSWORD)

    assert as_typed == as_stored == [200, 200]
    found = (await root.get("/users", params={"search": email})).json()["items"]
    assert [user["email"] for user in found] == [EMAILS[email]]


@pytest.mark.parametrize("email", EMAILS)
async def test_c3_a_superuser_logs_in_to_the_page_with_the_email_as_typed(browser, runtime, email):
    """C3: made as `backend create-superuser` and the first start make them."""
    user_in = UserCreate(email=email, password=SecretStr(PASSWORD), is_superuser=True)
    async with runtime.session_maker() as db:
        users = runtime.user_service(db)
        await users.create_first_superuser(user_in)

    assert (await log_in_to_page(browser, email)).status_code == 303


async def test_c3_two_spellings_of_one_email_are_one_account(client):
    """C3."""
    first, *others = [
        await client.post(USERS, json={"email": email, "password": PASSWORD})
        for email, stored in EMAILS.items()
        if stored == "ada@münchen.de"
    ]

    assert first.status_code == 201
    assert [response.status_code for response in others] == [409, 409]


@pytest.mark.parametrize("username", ["Ada", " Ada ", "ADA\u3000"])
async def test_c3_a_username_logs_in_as_it_was_typed(client, username):
    """C3."""
    await by_sign_up(client, email="x@example.com", username=username, password=PASSWORD)

    response = await client.post(TOKEN, data={"username": username, "password": PASSWORD})

    assert response.status_code == 200


@pytest.mark.parametrize("login", ["ıda", "İda", "ſida"])
async def test_no_letter_beyond_ascii_stands_for_a_letter_of_a_username(client, login):
    await by_sign_up(client, email="x@example.com", username="ida", password=PASSWORD)
    await by_sign_up(client, email="y@example.com", username="sida", password=PASSWORD)

    response = await client.post(TOKEN, data={"username": login, "password": PASSWORD})

    assert response.status_code == 400


@pytest.mark.parametrize("signed_up", ["NFC", "NFD"])
async def test_c3_a_password_holds_in_nfc_and_in_nfd(client, signed_up):
    """C3."""
    password = "Mañana veré la montaña"
    spelt = {form: unicodedata.normalize(form, password) for form in ("NFC", "NFD")}
    await by_sign_up(client, email="ada@example.com", password=spelt[signed_up])

    for form in spelt.values():
        assert await status_of_logins(client, "ada@example.com", form) == [200, 200]


async def test_c3_a_hash_of_another_spelling_holds_and_is_renewed(client, runtime, ada):
    """C3: hashed before passwords were normalised."""
    old = unicodedata.normalize("NFD", "Mañana veré la montaña")
    hashed = hashing._CONTEXT.hash(old)
    async with runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET hashed_password = :h"), {"h": hashed})

    assert await status_of_logins(client, ada.email, old) == [200, 200]
    composed = unicodedata.normalize("NFC", old)
    assert await status_of_logins(client, ada.email, composed) == [200, 200]


async def test_c3_the_current_password_may_be_typed_in_another_form(client, ada):
    """C3."""
    new = "Mañana veré la montaña"
    change = {"current_password": PASSWORD, "new_password": unicodedata.normalize("NFD", new)}
    await ada.post("/auth/password", json=change)

    change = {"current_password": unicodedata.normalize("NFC", new), "new_password": PASSWORD}

    assert (await ada.post("/auth/password", json=change)).status_code == 204


@pytest.mark.parametrize(
    "logins",
    [
        ["ada@xn--mnchen-3ya.de", "ada@münchen.de", "ADA@MÜNCHEN.DE", " ada@münchen.de"],
        [f"{NFD}@example.com", f"{NFC}@example.com", f"{NFC.upper()}@example.com"],
        ["Ada", " ada", "ADA"],
    ],
)
async def test_all_spellings_of_an_account_share_its_limit(client, logins):
    tried = [logins[number % len(logins)] for number in range(6)]

    statuses = [
        (await client.post(TOKEN, data={"username": login, "password": "wrong"})).status_code
        for login in tried
    ]

    assert statuses == [400] * 5 + [429]


@pytest.mark.parametrize("name", NAMES)
async def test_c2_a_name_is_accepted_and_found_everywhere(client, root, browser, name):
    """C2."""
    values = {"email": "new@example.com", "password": PASSWORD, "full_name": name}
    made = await client.post(USERS, json=values)
    stored = unicodedata.normalize("NFC", name)

    assert made.status_code == 201, made.text
    assert made.json()["full_name"] == stored
    for search in (name, f"  {name}\u3000", unicodedata.normalize("NFD", name)):
        by_number = (await root.get("/users", params={"search": search})).json()
        by_cursor = (await root.get("/users/cursor", params={"search": search})).json()
        export = (await root.get("/users/export", params={"search": search})).text
        assert [user["full_name"] for user in by_number["items"]] == [stored]
        assert [user["full_name"] for user in by_cursor["items"]] == [stored]
        assert stored in export
        assert root.email not in export
    await log_in_to_page(browser, root.email)
    page = await browser.get(f"{PAGE}/users", params={"search": f"{name} "})
    assert "new@example.com" in page.text


@pytest.mark.parametrize("name", NAMES)
async def test_c2_a_name_is_accepted_from_a_file_and_a_list(root, runtime, tmp_path, name):
    """C2."""
    values = {"password": PASSWORD, "full_name": name}
    await by_list(root, email="list@example.com", **values)
    await by_file(runtime, tmp_path, email="file@example.com", **values)

    found = (await root.get("/users", params={"search": name})).json()

    assert found["total"] == 2


@pytest.mark.parametrize("name", REFUSED_NAMES)
async def test_c2_a_name_with_a_control_or_nothing_to_see_is_a_422(client, name):
    """C2."""
    response = await client.post(
        USERS, json={"email": "new@example.com", "password": PASSWORD, "full_name": name}
    )

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == ["full_name"]


async def test_a_name_is_measured_in_the_form_that_is_stored(client):
    values = {"email": "new@example.com", "password": PASSWORD}
    fits = await client.post(USERS, json=values | {"full_name": "e\u0301" * 200})
    grows = await client.post(USERS, json=values | {"full_name": "\u0958" * 200})

    assert fits.status_code == 201
    assert grows.status_code == 422


async def test_a_search_of_spaces_is_no_search(root, ada):
    response = await root.get("/users", params={"search": " \u3000 "})

    assert response.json()["total"] == 2


async def test_a_run_of_combining_marks_is_refused_at_once(client):
    """Normalising it would take the event loop seconds."""
    marks = "a" + "\u0301\u0316" * 30_000
    body = {"email": f"{marks}@example.com", "password": marks, "username": marks}
    began = perf_counter()
    made = await client.post(USERS, json=body | {"full_name": marks})
    login = await client.post(TOKEN, data={"username": marks[:9_000], "password": "x"})

    assert (made.status_code, login.status_code) == (422, 400)
    assert perf_counter() - began < 1


# Special-use domains (C4)

SPECIAL = ["root@corp.local", "x@mail.home.arpa", "x@localhost", "x@a.test", "x@b.internal"]


@pytest.mark.parametrize("email", SPECIAL)
async def test_c4_a_special_use_domain_is_refused_by_default(client, root, browser, email):
    """C4."""
    values = {"email": email, "password": PASSWORD}
    made = await client.post(USERS, json=values)
    listed = await root.post("/users/bulk", json=[values])
    changed = await root.patch("/users/me", json={"email": email})

    assert [r.status_code for r in (made, listed, changed)] == [422, 422, 422]
    for response in (made, listed, changed):
        assert [detail["field"] for detail in response.json()["details"]] == ["email"]


@pytest.mark.parametrize("email", SPECIAL)
async def test_c4_a_setting_admits_special_use_domains(settings: Settings, client, email):
    """C4."""
    admitting = create_app(settings.replaced(auth={"special_use_domains": True}))
    async with admitting.router.lifespan_context(admitting), browsing(admitting) as visitor:
        await by_sign_up(visitor, email=email, password=PASSWORD)

        assert await status_of_logins(visitor, email, PASSWORD) == [200, 200]


@pytest.mark.parametrize("email", SPECIAL)
async def test_c4_the_first_superuser_and_imports_may_be_anywhere(
    settings: Settings, client, runtime, tmp_path, email
):
    """C4: and they may change their name, with an email that is refused to others."""
    first = {"first_superuser_email": email, "first_superuser_password": SecretStr(PASSWORD)}
    async with running(settings.replaced(app=first)) as app, browsing(app) as visitor:
        superuser = Person(visitor, 1, email)
        await superuser.login()
        renamed = await superuser.patch("/users/me", json={"email": email, "full_name": "Root"})
    await by_file(runtime, tmp_path, email=f"imported.{email}", password=PASSWORD)

    assert renamed.status_code == 200
    assert await status_of_logins(client, f"imported.{email}", PASSWORD) == [200, 200]


@pytest.mark.parametrize("email", ["x@1.2.3.4", "x@[127.0.0.1]", '"x y"@corp.local', "x@.local"])
async def test_c4_what_is_no_email_stays_none(settings: Settings, client, email):
    """C4."""
    admitting = create_app(settings.replaced(auth={"special_use_domains": True}))
    async with admitting.router.lifespan_context(admitting), browsing(admitting) as visitor:
        response = await visitor.post(USERS, json={"email": email, "password": PASSWORD})

    assert response.status_code == 422


# Passwords that cannot be hashed (S4), and characters that cannot be stored (S6)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The algorithm of every hash that was computed to its end."""
    done: list[str] = []
    context = hashing._CONTEXT.copy()
    for name in ("hash", "verify_and_update"):
        original = getattr(context, name)

        def counted(*arguments: Any, _original: Any = original) -> Any:
            result = _original(*arguments)
            done.append("hash")
            return result

        monkeypatch.setattr(context, name, counted)
    monkeypatch.setattr(hashing, "_CONTEXT", context)
    return done


@pytest.fixture
async def brought(ada, runtime) -> str:
    """A known email whose hash is bcrypt's."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, username, hashed_password)"
                " VALUES ('brought@example.com', 'brought', :hashed)"
            ),
            {"hashed": hashed},
        )
    return "brought@example.com"


@pytest.mark.parametrize(
    ("password", "cost"),
    [
        ("", 1),
        ("wrong", 1),
        ("nul\x00", 1),
        ("x" * 72, 1),
        ("x" * 73, 1),
        ("é" * 40, 1),
        ("x" * 256, 1),
        ("x" * 257, 1),
        ("x" * 100_000, 1),
        ("e\u0301" * 20, 2),
        ("e\u0301" * 60, 2),
    ],
)
async def test_s4_a_wrong_password_costs_the_same_whoever_has_the_account(
    client, ada, brought, hashes, password, cost
):
    """S4: known by argon2id, known by bcrypt, unknown."""
    costs = []
    for email in (ada.email, brought, "nobody@example.com"):
        hashes.clear()
        response = await client.post(LOGIN, json={"email": email, "password": password})
        assert response.status_code == 401
        costs.append(len(hashes))

    assert costs == [cost] * 3


@pytest.mark.usefixtures("costly")
@pytest.mark.parametrize("password", ["x" * 73, "nul\x00", "e\u0301" * 60])
async def test_s4_what_bcrypt_cannot_take_takes_as_long_as_an_unknown_account(password):
    """S4: it was refused at once, which told that the account exists."""
    hasher = PasswordHasher(workers=1)
    brought = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()

    async def duration(hashed: str | None) -> float:
        began = perf_counter()
        await hasher.verify(password, hashed)
        return perf_counter() - began

    known, unknown = [
        median([await duration(hashed) for _ in range(7)]) for hashed in (brought, None)
    ]
    hasher.close()

    assert known > 0.4 * unknown


@pytest.mark.parametrize("password", ["\ud800aaaaaaa", "aaaaaaaa\udfff", "\udc80"])
@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_s4_a_lone_surrogate_is_refused_before_anybody_is_looked_up(
    client, ada, hashes, statements, email, password
):
    """S4."""
    content = json.dumps({"email": email, "password": password})
    hashes.clear()
    statements.clear()

    response = await client.post(
        LOGIN, content=content, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == ["password"]
    assert hashes == []
    assert statements == []


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_s4_no_door_of_the_service_takes_a_lone_surrogate(
    client, ada, runtime, hashes, statements, email
):
    """S4: where a form decodes to one, the service refuses it all the same."""
    from app.core.device import Device
    from app.core.exceptions import ValidationException

    statements.clear()
    for login, password in ((email, "\ud800"), (f"\ud800{email}", "x"), (f"\0{email}", "x")):
        async with runtime.session_maker() as db:
            auth = runtime.auth_service(db)
            for door in (auth.login, auth.log_in_to_page):
                with pytest.raises(ValidationException):
                    await door(login, password, Device(None, None))

    assert hashes == []
    assert statements == []


def unstorable(body: Any) -> Iterator[Any]:
    """`body` with each of its texts made unstorable in turn."""
    rows = body if isinstance(body, list) else [body]
    for row in rows:
        for field, value in row.items():
            if isinstance(value, str):
                for character in ("\ud800", "\udfff", "\x00"):
                    changed = {**row, field: f"{value}{character}"}
                    yield [changed] if isinstance(body, list) else changed
        yield [{**row, "\ud800": 1}] if isinstance(body, list) else {**row, "\ud800": 1}


USER = {"email": "new@example.com", "username": "new", "full_name": "New", "password": PASSWORD}
BODIES: list[tuple[str, str, Any]] = [
    ("POST", "/users", USER),
    ("POST", "/users/bulk", [USER]),
    ("POST", "/users/bulk", [{"email": "new@example.com", "hashed_password": "$2b$12$x"}]),
    ("PATCH", "/users/me", {"email": "n@example.com", "username": "new", "full_name": "N"}),
    ("POST", "/auth/login", {"email": "root@example.com", "password": PASSWORD}),
    ("POST", "/auth/refresh", {"refresh_token": f"{'0' * 32}.x"}),
    ("POST", "/auth/password", {"current_password": PASSWORD, "new_password": PASSWORD + "!"}),
]


@pytest.mark.parametrize(("method", "path", "body"), BODIES, ids=lambda value: str(value)[:20])
async def test_s6_a_character_that_cannot_be_stored_is_the_senders_fault(
    settings: Settings, client, root, method, path, body
):
    """S6: a lone surrogate is a 422, U+0000 too, or for a secret that is compared simply wrong."""
    unlimited = create_app(settings.replaced(limiter={"enabled": False}))
    async with unlimited.router.lifespan_context(unlimited), browsing(unlimited) as visitor:
        for changed in unstorable(body):
            response = await visitor.request(
                method,
                f"/api/v1{path}",
                content=json.dumps(changed),
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {root.tokens['access_token']}",
                },
            )
            is_surrogate = "\\ud800" in json.dumps(changed) or "\\udfff" in json.dumps(changed)
            expected = {422} if is_surrogate else {422, 401}
            assert response.status_code in expected, (changed, response.text)
            assert set(response.json()) == {"error", "message", "details", "request_id"}


@pytest.mark.parametrize("field", ["email", "username", "full_name", "password"])
@pytest.mark.parametrize("character", ["\ud800", "\x00"])
async def test_s6_a_row_of_a_file_with_one_is_refused_and_the_others_imported(
    client, runtime, tmp_path, field, character
):
    """S6."""
    file, errors = tmp_path / "users.ndjson", tmp_path / "errors.ndjson"
    wrong = {**USER, field: f"{USER[field]}{character}"}
    right = {"email": "right@example.com", "password": PASSWORD}
    file.write_text(f"{json.dumps(wrong)}\n{json.dumps(right)}\n")

    outcome = await import_users(runtime, UserFile.on_disk(file), errors, lambda _: None)

    assert (outcome.imported, outcome.refused) == (1, 1)
    assert field in errors.read_text()


@pytest.mark.parametrize("name", ["a\\ud800.csv", "a.ndjson"])
async def test_s6_an_upload_with_one_in_its_name_or_rows_is_no_error_of_ours(browser, root, name):
    """S6: by a charset that can decode to one, while such are read at all."""
    await log_in_to_page(browser, root.email)
    form = await browser.get(f"{PAGE}/users/upload")
    csrf = re.search(r'name="csrf" value="([^"]*)"', form.text)
    assert csrf is not None
    row = json.dumps({**USER, "full_name": "\ud800", "password": "\ud800" * 20})
    parts = [
        ('name="csrf"', csrf[1]),
        ('name="step"', "look"),
        (f'name="file"; filename="{name}"', row if name.endswith("json") else "email\nx@x.org"),
    ]
    content = "".join(
        f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts
    )

    for charset in ("utf-8", "unicode_escape"):
        response = await browser.post(
            f"{PAGE}/users/upload",
            content=f"{content}--b--\r\n".encode(),
            headers={"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"},
        )

        assert response.status_code < 500, response.text


# The database's collation (C18), and rows of before


@pytest.fixture(scope="module")
def turkish() -> Iterator[str]:
    with turkish_server() as url:
        yield url


async def test_the_database_of_these_tests_is_turkish(turkish):
    """Otherwise those below would prove nothing."""
    connection = await asyncpg.connect(await new_turkish_database(turkish, "proof"))
    lower = await connection.fetchval("SELECT lower('IVAN')")
    await connection.close()

    assert lower == "ıvan"


async def test_c18_case_is_no_matter_of_the_databases_language(turkish, settings: Settings):
    """C18."""
    url = await new_turkish_database(turkish, "service")
    own = settings.replaced(database={"url": SecretStr(url), "pooler": "none"})
    async with engine_of(own.database) as engine:
        await migrate(engine)
    async with running(own) as app, browsing(app) as client:
        await by_sign_up(client, email="i@example.com", username="IVAN", password=PASSWORD)
        logins = [
            (await client.post(TOKEN, data={"username": login, "password": PASSWORD})).status_code
            for login in ("ivan", "IVAN", "Ivan")
        ]
        body = {"email": "j@example.com", "username": "ivan", "password": PASSWORD}
        taken = await client.post(USERS, json=body)
        derived = await client.post(USERS, json={"email": "ivan@x.org", "password": PASSWORD})
        root = await person(client, app.state.runtime, "ZOE", is_superuser=True)
        rows = [
            {"email": f"{name}@x.org", "username": name, "password": PASSWORD}
            for name in ("irma", "JIM", "Ida", "hal")
        ]
        await root.post("/users/bulk", json=rows)
        twice = await root.post("/users/bulk", json=[rows[2] | {"username": "IDA"}])
        usernames = await usernames_by_cursor(root)

    assert logins == [200, 200, 200]
    for response in (taken, twice):
        fields = {detail["field"] for detail in response.json()["details"]}
        assert response.status_code == 409
        assert "username" in fields
    assert derived.json()["username"].startswith("ivan-")
    assert usernames == sorted(usernames, key=str.lower)
    assert {"IVAN", "ZOE", "irma", "JIM", "Ida", "hal"} <= set(usernames)


async def usernames_by_cursor(root: Person) -> list[str]:
    """Everybody's, two at a time."""
    found, params = [], {"sort_by": "username", "sort_order": "asc", "size": "2"}
    while True:
        page = (await root.get("/users/cursor", params=params)).json()
        found += [user["username"] for user in page["items"]]
        if page["next_cursor"] is None:
            return found
        params = {**params, "cursor": page["next_cursor"]}


INSERT = text(
    "INSERT INTO users (email, username, full_name, hashed_password)"
    " VALUES (:email, :username, :name, :hashed)"
)


@pytest.mark.direct
async def test_c3_rows_of_before_log_in_and_are_found(servers, settings: Settings, logged):
    """C3, C18: the migration brings them into the one spelling; what collides stays."""
    hashed = hashing._CONTEXT.hash(PASSWORD)
    old = {
        "Ada@XN--MNCHEN-3YA.de": ("ada@münchen.de", "ada"),
        f"{NFD}@example.com": (f"{NFC}@example.com", "jose"),
        "root@corp.local": ("root@corp.local", "root"),
        "plain@example.com": ("plain@example.com", "plain"),
    }
    async with new_database(servers.direct) as url:
        own = settings.replaced(database={"url": SecretStr(url)})
        async with engine_of(own.database) as engine:
            await migrate(engine, "0005")
            async with engine.begin() as connection:
                for email, (_, username) in old.items():
                    values = {"email": email, "username": username, "name": NFD, "hashed": hashed}
                    await connection.execute(INSERT, values)
                for email in ("taken@münchen.de", "taken@xn--mnchen-3ya.de"):
                    values = {
                        "email": email,
                        "username": email[-9:-3],
                        "name": "",
                        "hashed": hashed,
                    }
                    await connection.execute(INSERT, values)
            await migrate(engine)
            async with engine.connect() as connection:
                rows = await connection.execute(text("SELECT email, full_name FROM users"))
                stored = {row.email: row.full_name for row in rows}
        async with running(own) as app, browsing(app) as client:
            statuses = [
                await status_of_logins(client, login, PASSWORD)
                for email, (normal, _) in old.items()
                for login in {email, normal}
            ]
            left = Person(client, 6, "taken@xn--mnchen-3ya.de")
            await left.login()
            profile = (await left.get("/users/me")).json()
            change = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"}
            changed = await left.post("/auth/password", json=change)
            other = await status_of_logins(client, "taken@münchen.de", PASSWORD)

    assert {normal for normal, _ in old.values()} <= set(stored)
    assert "taken@xn--mnchen-3ya.de" in stored
    assert {stored[normal] for normal, _ in old.values()} == {NFC}
    assert all(status == [200, 200] for status in statuses)
    assert (profile["id"], changed.status_code, other) == (6, 204, [200, 200])
    (line,) = [line for line in logged() if line["event"] == "users_normalised"]
    assert (line["changed"], line["skipped"]) == (6, 1)


async def test_c18_names_that_a_language_told_apart_are_told_apart_by_an_ending(
    turkish, settings: Settings
):
    """C18: in a Turkish database, `ali` and `ALI` could both sign up. The older keeps the name."""
    url = await new_turkish_database(turkish, "grown")
    own = settings.replaced(database={"url": SecretStr(url), "pooler": "none"})
    async with engine_of(own.database) as engine:
        await migrate(engine, "0005")
        async with engine.begin() as connection:
            for number, username in enumerate(("ali", "ALI", "veli")):
                values = {"email": f"{number}@x.org", "username": username, "name": None}
                await connection.execute(INSERT, {**values, "hashed": ""})

        await migrate(engine)

        async with engine.connect() as connection:
            usernames = list(
                await connection.scalars(text("SELECT username FROM users ORDER BY id"))
            )
    assert [usernames[0], usernames[2]] == ["ali", "veli"]
    assert re.fullmatch("ALI-[0-9a-f]{8}", usernames[1])
