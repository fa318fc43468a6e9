"""Guesses of passwords: strangers cannot use up the budget of an owner's known device."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.core.config import Settings
from app.core.security import TokenSigner
from app.core.security.known_devices import KnownDevices
from app.runtime import Runtime
from tests.access import API
from tests.account_pages import log_in, send
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_rate_limits import limiting, limits_of, refused
from tests.mfa import mfa_token, second_step, set_up

LOGIN, TOKEN, HEADER = f"{API}/auth/login", f"{API}/auth/token", "X-Device-Token"
COOKIE = "__Host-backend_device"
NEW = "another battery staple horse"


async def guess(
    client: httpx.AsyncClient, name: str, password: str = "a guess", device: str | None = None
) -> httpx.Response:
    """Log in by the form, which takes emails and usernames."""
    headers = {HEADER: device} if device else {}
    return await client.post(TOKEN, data={"username": name, "password": password}, headers=headers)


async def device_of(person: Person) -> str:
    """A device token of a login that succeeds."""
    body = {"email": person.email, "password": person.password}
    return str((await person.client.post(LOGIN, json=body)).headers[HEADER])


async def hash_of(runtime: Runtime, person: Person) -> str:
    async with runtime.session_maker() as db:
        found = await runtime.auth_service(db).users.password_hash(person.id)
    assert found is not None
    return found


async def issued(runtime: Runtime, person: Person) -> str:
    """A device token without a login."""
    return runtime.devices.token(person.id, await hash_of(runtime, person))


@pytest.fixture
async def attacker(app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(app, "198.51.100.1") as attacker:
        yield attacker


@pytest.fixture
async def browser(app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        yield browser


async def use_up(client: httpx.AsyncClient, person: Person) -> None:
    """Use up the budget that all strangers share."""
    answers = [await guess(client, person.email) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]


async def test_an_owner_logs_in_forty_times_of_forty_while_strangers_guess(settings, client, ada):
    """S8: 30 wrong passwords from elsewhere kept the owner at 429 for 39 of 40 logins."""
    device = await device_of(ada)
    async with limiting(settings, login_address="100/minute") as app, browsing(app) as home:
        owner, strangers = [], []
        for number in range(40):
            if number < 30:
                async with browsing(app, f"198.51.100.{number}") as somewhere:
                    strangers.append(await guess(somewhere, ada.email))
            owner.append(await guess(home, ada.email, PASSWORD, device))
        stranger = await guess(home, ada.email, PASSWORD)

    assert [answer.status_code for answer in strangers] == [400] * 5 + [429] * 25
    assert [answer.status_code for answer in owner] == [200] * 40
    assert refused(stranger)


async def test_a_right_password_is_not_counted(client, ada):
    """A program that logs in every few seconds has no device, and needs none."""
    answers = [await guess(client, ada.email, PASSWORD) for _ in range(12)]
    answers += [await guess(client, ada.email) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 12 + [400] * 5 + [429]


async def test_the_right_password_of_a_disabled_account_counts_as_a_wrong_one(client, ada, root):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    answers = [await guess(client, ada.email, PASSWORD) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429]


@pytest.mark.parametrize(
    "kind", ["forged", "foreign", "expired", "access token", "of an earlier password", "long"]
)
async def test_a_token_that_proves_nothing_gets_the_budget_of_strangers(
    client, ada, bob, attacker, runtime: Runtime, settings: Settings, kind
):
    hashed, device = await hash_of(runtime, ada), await device_of(ada)
    secret = settings.auth.secret_key
    assert secret is not None
    past = settings.auth.model_copy(update={"device_ttl": -60})
    expired = TokenSigner(secret.get_secret_value(), past)
    tokens = {
        "forged": KnownDevices(TokenSigner("x" * 32, settings.auth)).token(ada.id, hashed),
        "foreign": await device_of(bob),
        "expired": KnownDevices(expired).token(ada.id, hashed),
        "access token": ada.tokens["access_token"],
        "of an earlier password": runtime.devices.token(ada.id, "another hash"),
        "long": device + "x" * 5000,
    }
    await use_up(attacker, ada)

    answer = await guess(client, ada.email, PASSWORD, tokens[kind])

    assert refused(answer)
    assert (await guess(client, ada.email, PASSWORD, device)).status_code == 200


async def test_a_device_token_is_no_access_token(client, ada):
    device = await device_of(ada)

    answer = await client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {device}"})

    assert answer.status_code == 401


async def test_a_stolen_token_allows_five_guesses_a_minute_and_the_owner_goes_on(
    client, ada, attacker
):
    stolen = await device_of(ada)
    own = (await guess(client, ada.email, PASSWORD, stolen)).headers[HEADER]  # rotated

    answers = [await guess(attacker, ada.email, device=stolen) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert limits_of(answers[-1])["login"][:2] == (5, 0)
    assert (await guess(client, ada.email, PASSWORD, own)).status_code == 200


async def test_email_and_username_share_the_budget_of_strangers(client, ada, attacker, runtime):
    for name in (ada.email, ada.email, ada.email, "ada", "ADA"):
        assert (await guess(attacker, name)).status_code == 400

    right = [await guess(client, name, PASSWORD) for name in (ada.email, "ada")]

    # As a wrong one, not as one too many: see the next test.
    assert [answer.status_code for answer in right] == [400, 400]
    assert (await guess(client, ada.email, PASSWORD, await issued(runtime, ada))).is_success


async def test_guesses_do_not_tell_whose_email_and_username_belong_together(client, ada, bob):
    """Nor that there is an account: the same names as hers, his, and of nobody."""
    seen = []
    for email, username in (
        (ada.email, "ada"),
        (bob.email, "carol"),
        ("nobody@example.com", "nobody"),
    ):
        answers = [await guess(client, name) for name in [email] * 4 + [username] * 2]
        shown = [sorted({*answer.headers} - {"x-request-id"}) for answer in answers]
        members = [
            {k: v for k, v in answer.json().items() if k != "request_id"} for answer in answers
        ]
        seen.append(([answer.status_code for answer in answers], shown, members))

    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == [400] * 6


def doors(person: Person, device: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Requests with a wrong password: path and options, by what they are for."""
    bearer = {"Authorization": f"Bearer {person.tokens['access_token']}", HEADER: device}
    wrong = {"current_password": "a guess"}
    named = {"username": person.email, "password": "a guess"}
    return {
        "login": (LOGIN, {"json": {"email": person.email, "password": "a guess"}}),
        "form": (TOKEN, {"data": named}),
        "confirmation": (f"{API}/auth/confirmation", {"json": {"password": "a guess"}}),
        "password": (f"{API}/auth/password", {"json": {**wrong, "new_password": NEW}}),
        "email": (f"{API}/users/me/email", {"json": {**wrong, "email": "new@example.com"}}),
        "deletion": (f"{API}/users/me/deletion", {"json": wrong}),
    } | {"headers": ("", {"headers": bearer})}


@pytest.mark.parametrize("last", ["login", "form", "confirmation", "password", "email", "deletion"])
async def test_all_doors_count_in_one_budget(client, ada, last):
    device = await device_of(ada)
    requests = doors(ada, device)
    _, headers = requests.pop("headers")
    before = [name for name in requests if name != last]

    for name in before:
        path, options = requests[name]
        answer = await client.post(path, **options, **headers)
        assert answer.status_code in {400, 401, 422}, (name, answer.text)
    path, options = requests[last]
    answer = await client.post(path, **options, **headers)

    assert refused(answer)
    assert limits_of(answer)["login"][0] == 5


async def test_the_pages_count_in_the_budget_of_their_browser(client, ada, browser):
    await log_in(browser, ada)
    device = browser.cookies[COOKIE]
    await send(browser, "/confirm", proof="a guess")
    await send(browser, "/password", current_password="a guess", new_password=NEW)
    await send(browser, "/email", email="new@example.com", current_password="a guess")
    await send(browser, "/deletion", current_password="a guess")
    async with browsing_as(browser, COOKIE) as logged_out:
        wrong = await log_in(logged_out, ada, password="a guess")
        one_too_many = await log_in(logged_out, ada, password="a guess")

    assert wrong.status_code == 401
    assert one_too_many.status_code == 429
    assert refused(await guess(client, ada.email, device=device))
    assert (await guess(client, ada.email)).status_code == 400  # strangers have theirs


def browsing_as(browser: httpx.AsyncClient, *cookies: str) -> httpx.AsyncClient:
    """The browser after its session's end: with these cookies alone."""
    kept = {name: browser.cookies[name] for name in cookies}
    transport = browser._transport
    return httpx.AsyncClient(transport=transport, base_url="https://test", cookies=kept)


async def test_a_browser_is_a_known_device_of_three_accounts(runtime: Runtime, client, ada, bob):
    hashes = {person.id: await hash_of(runtime, person) for person in (ada, bob)}
    value = ""
    for user_id in (7, 8, ada.id, bob.id, bob.id):
        token = runtime.devices.token(user_id, hashes.get(user_id, "x"))
        value = runtime.devices.joined(token, value.split("~"))

    proofs = value.split("~")

    assert len(proofs) == 3
    for user_id, hashed in ((8, "x"), *hashes.items()):
        assert runtime.devices.device_of(proofs, user_id, hashed) is not None
    assert runtime.devices.device_of(proofs, 7, "x") is None


async def test_strangers_do_not_hold_up_a_session_that_sends_no_token(client, ada, attacker):
    await use_up(attacker, ada)

    wrong = [
        await ada.post("/auth/confirmation", json={"password": word}) for word in ["a guess"] * 4
    ]
    right = await ada.post("/auth/confirmation", json={"password": PASSWORD})

    assert [answer.status_code for answer in wrong] == [422] * 4
    assert right.status_code == 200


async def test_two_instances_share_the_budgets(settings, client, ada, runtime):
    device = await device_of(ada)
    async with (
        running(settings) as one,
        running(settings) as two,
        browsing(one) as here,
        browsing(two, "198.51.100.9") as there,
    ):
        known = [await guess(client, ada.email, device=device) for client in (here, there) * 3]
        names = (ada.email, "ada")
        for number in range(5):
            await guess((here, there)[number % 2], names[number // 3])
        strangers = [await guess(client, "ada", PASSWORD) for client in (here, there)]
        right = await guess(here, ada.email, PASSWORD, await issued(runtime, ada))

    assert [answer.status_code for answer in known] == [400] * 5 + [429]
    assert [answer.status_code for answer in strangers] == [400, 400]
    assert right.status_code == 200


async def test_a_new_password_voids_device_tokens_but_for_that_of_the_change(client, ada, attacker):
    phone, laptop = [await device_of(ada) for _ in range(2)]
    body = {"current_password": PASSWORD, "new_password": NEW}
    changed = await ada.post("/auth/password", json=body, headers={HEADER: laptop})
    await use_up(attacker, ada)

    answers = [
        await guess(client, ada.email, NEW, device)
        for device in (phone, laptop, changed.headers[HEADER])
    ]

    assert [answer.status_code for answer in answers] == [429, 429, 200]


async def test_a_link_to_a_new_password_lets_its_owner_in_while_strangers_guess(
    client, ada, attacker, mailbox
):
    """On a device that never logged in: the mailbox is the way past strangers."""
    await use_up(attacker, ada)
    await client.post(f"{API}/auth/password-recovery", json={"email": ada.email})
    link = {"token": await mailbox.token(), "new_password": NEW}
    reset = await client.post(f"{API}/auth/password-reset", json=link)

    answer = await guess(client, ada.email, NEW, reset.headers[HEADER])

    assert answer.status_code == 200


async def test_a_password_without_the_second_factor_makes_no_device_known(client, ada):
    app = await set_up(ada)
    body = {"email": ada.email, "password": PASSWORD}

    first = await client.post(LOGIN, json=body)
    second = await second_step(client, await mfa_token(ada), app.code)

    assert HEADER not in first.headers
    assert second.status_code == 200
    assert second.headers[HEADER]


async def test_a_refresh_makes_no_device_known(client, ada):
    body = {"refresh_token": ada.tokens["refresh_token"]}

    answer = await client.post(f"{API}/auth/refresh", json=body)

    assert answer.status_code == 200
    assert HEADER not in answer.headers


async def test_a_limiter_that_is_off_admits_every_guess(settings, client, ada):
    off = settings.replaced(limiter={"enabled": False})
    async with running(off) as app, browsing(app) as free:
        answers = [await guess(free, ada.email) for _ in range(7)]
        own = [
            await replace(ada, client=free).post("/auth/confirmation", json={"password": "a guess"})
            for _ in range(7)
        ]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.status_code for answer in own} == {422}
