"""Rate limits: who is counted with whom, and what they are told."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.limiter import HitCounter, parsed
from app.core.redis import TIMEOUT, CircuitBreaker, connect_redis
from tests.access import API, REFRESH_TOKENS
from tests.conftest import PASSWORD, browsing, running
from tests.integration.test_access_matrix import (
    MATRIX,
    PAGES,
    cast,
    hashed_password,
    operations,
    visit,
)
from tests.process import instance
from tests.tcp_proxy import proxied

__all__ = ["cast", "hashed_password"]

LOGIN, TOKEN, REFRESH = f"{API}/auth/login", f"{API}/auth/token", f"{API}/auth/refresh"
USERS = f"{API}/users"
WEAK = {"email": "new@example.com", "password": "weak"}  # refused after it was counted: no hash
LIMITS = (
    *(
        "login",
        "login_address",
        "passkey_options",
        "second_factor",
        "sign_up",
        "key_address",
        "refresh",
        "refresh_address",
    ),
    *("recovery", "link", "invitation", "own_data", "read", "write"),
)


POLICY, STATE = (re.compile(rf'"([a-z-]+)";{a}=(\d+);{b}=(\d+)') for a, b in ("qw", "rt"))


def limits_of(response: httpx.Response) -> dict[str, tuple[int, int, int]]:
    """By name of a policy: the limit, what remains and the seconds until it is reset."""
    policies, states = (
        [pattern.fullmatch(member) for member in response.headers[name].split(", ")]
        for name, pattern in (("RateLimit-Policy", POLICY), ("RateLimit", STATE))
    )
    assert all(policies)
    limits = {
        policy[1]: (int(policy[2]), int(state[2]), int(state[3]))
        for policy, state in zip(policies, states, strict=True)
        if policy and state and policy[1] == state[1]
    }
    assert len(limits) == len(policies)
    return limits


def headers_of(response: httpx.Response) -> tuple[int, int, int]:
    """The limit of which least remains, what remains and the seconds until it is reset."""
    return min(limits_of(response).values(), key=lambda limit: limit[1])


def refused(response: httpx.Response) -> bool:
    """Whether it is a 429, which has to be complete."""
    if response.status_code != 429:
        return False
    body = response.json()
    assert set(body) == {"error", "message", "details", "request_id"}
    assert body["error"] == "rate_limit_exceeded"
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert not {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} & set(response.headers)
    ((_, remaining, reset),) = limits_of(response).values()
    assert remaining == 0
    assert 1 <= int(response.headers["Retry-After"]) == reset <= 60
    return True


@asynccontextmanager
async def limiting(settings: Settings, **limits: str) -> AsyncIterator[FastAPI]:
    async with running(settings.replaced(limiter=limits)) as app:
        yield app


@pytest.fixture(scope="module")
async def strict_app(app, settings) -> AsyncIterator[FastAPI]:
    """Once a minute, everything."""
    async with limiting(settings, **dict.fromkeys(LIMITS, "1/minute")) as strict:
        yield strict


@pytest.fixture
async def strict(strict_app, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(strict_app) as strict:
        yield strict


@pytest.mark.parametrize("operation", MATRIX)  # complete, or a test of the matrix fails
async def test_every_operation_has_a_rate_limit(strict_app, strict, cast, operation):
    kind = "superuser" if MATRIX[operation].status_for("superuser") == "2xx" else "owner"
    owner = await cast.begin_session("ada")
    method, path = operations(strict_app)[operation]
    options = MATRIX[operation].sent_by(await cast.caller(kind, strict))

    async def answer() -> httpx.Response:
        caller = await cast.caller(
            kind, strict
        )  # in a new session: the last call may have ended it
        response: httpx.Response = await strict.request(
            method,
            path.format(**owner.named),
            headers=caller.headers,
            **options,
        )
        return response

    first, second = [await answer() for _ in range(2)]

    if MATRIX[operation].status_for(kind) == "2xx":
        assert first.is_success, first.text
        assert headers_of(first)[:2] == (1, 0)
    assert refused(second)


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_has_a_rate_limit(strict_app, strict, cast, page):
    async def answer() -> httpx.Response:
        request = visit(strict_app, page, await cast.caller("superuser", strict))
        request["headers"]["Accept"] = "application/json"
        response: httpx.Response = await strict.request(**request)
        return response

    first, second = [await answer() for _ in range(2)]

    if PAGES[page].status_for("superuser") in {"2xx", "303"}:
        assert first.is_success or first.status_code == 303, first.text
        assert headers_of(first)[:2] == (1, 0)
    assert refused(second)


async def test_an_account_admits_five_wrong_passwords_a_minute_however_they_come(app, client, ada):
    logins: list[tuple[str, dict[str, Any]]] = [  # right ones are not counted
        (LOGIN, {"json": {"email": ada.email, "password": "wrong"}}),
        (TOKEN, {"data": {"username": ada.email, "password": "wrong"}}),
        (LOGIN, {"json": {"email": ada.email.upper(), "password": PASSWORD}}),
        (TOKEN, {"files": {"username": (None, ada.email), "password": (None, "wrong")}}),
        (LOGIN, {"json": {"email": ada.email, "password": PASSWORD}}),
        (LOGIN, {"json": {"email": ada.email, "password": ""}}),
        (LOGIN, {"json": {"email": f" {ada.email}", "password": "wrong"}}),
        (TOKEN, {"data": {"username": "Ada@example.com", "password": PASSWORD}}),
    ]

    answers = []
    for number, (path, options) in enumerate(logins):
        async with browsing(app, f"198.51.100.{number}") as somewhere:
            answers.append(await somewhere.post(path, **options))

    assert [answer.status_code for answer in answers[:-1]] == [401, 400, 200, 400, 200, 401, 401]
    assert refused(answers[-1])
    assert limits_of(answers[-1])["login"][0] == 5


async def test_every_limit_that_a_call_counts_against_is_named(client, ada):
    login = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    sign_up = await client.post(USERS, json={"email": "new@example.com", "password": PASSWORD})
    refresh = await client.post(REFRESH, json={"refresh_token": login.json()["refresh_token"]})
    read = await ada.get("/users/me")
    write = await ada.patch("/users/me", json={})
    password = await ada.post(
        "/auth/password", json={"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    )

    def left(response: httpx.Response) -> dict[str, tuple[int, int]]:
        """Without the limit of writes, of which the process may have reserved hits before."""
        limits = {name: limit[:2] for name, limit in limits_of(response).items()}
        assert limits.pop("write", (600, 0))[0] == 600
        return limits

    assert login.headers["RateLimit-Policy"] == '"login-address";q=30;w=60'
    assert left(login) == {"login-address": (30, 28)}  # the fixture's is counted
    assert left(sign_up) == {"sign-up": (10, 9)}
    assert left(refresh) == {"refresh": (30, 29), "refresh-address": (300, 299)}
    assert left(read).keys() == {"read"}
    assert all("write" in limits_of(answer) for answer in (write, password))
    assert left(write) == {}
    assert left(password) == {}


async def test_other_accounts_are_not_held_up(client, ada, bob):
    for _ in range(5):
        await client.post(LOGIN, json={"email": ada.email, "password": "wrong"})

    assert (await client.post(LOGIN, json={"email": bob.email, "password": PASSWORD})).is_success


async def test_an_unknown_account_is_limited_like_a_known_one(client):
    answers = [
        await client.post(LOGIN, json={"email": "nobody@example.com", "password": "wrong"})
        for _ in range(6)
    ]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


@pytest.mark.parametrize("username", ["gİna", "GİNA"])
async def test_no_other_spelling_of_a_username_logs_in(client, runtime, username):
    """Each would be counted as an account of its own."""
    await client.post(
        USERS, json={"email": "x@example.com", "password": PASSWORD, "username": "gina"}
    )

    response = await client.post(TOKEN, data={"username": username, "password": PASSWORD})

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("Application/X-WWW-Form-Urlencoded", "username=ada%40example.com&password=wrong"),
        ("multipart/form-data; boundary=x", "--x--"),
    ],
)
async def test_a_form_of_any_type_is_counted(strict, content_type, content):
    answers = [
        await strict.post(TOKEN, content=content, headers={"Content-Type": content_type})
        for _ in range(2)
    ]

    assert answers[0].status_code == 400
    assert refused(answers[1])


async def test_a_login_that_names_no_account_counts_against_its_sender(app, client):
    await exhaust(client, LOGIN, {"json": {"password": "x"}}, 30)

    async with browsing(app, "198.51.100.1") as elsewhere:
        response = await elsewhere.post(LOGIN, json={"password": "x"})

    assert response.status_code == 422


async def exhaust(
    client: httpx.AsyncClient, path: str, options: dict[str, Any], count: int
) -> None:
    """Make as many calls as are admitted, and one more."""
    answers = [await client.post(path, **options) for _ in range(count + 1)]
    assert not any(refused(answer) for answer in answers[:-1])
    assert refused(answers[-1])


async def test_an_address_admits_thirty_logins_a_minute_over_all_accounts(app, client):
    def logins(client: httpx.AsyncClient, first: int, count: int) -> list[Any]:
        bodies = (
            {"email": f"{n}@example.com", "password": ""} for n in range(first, first + count)
        )
        return [client.post(LOGIN, json=body) for body in bodies]

    admitted = await asyncio.gather(*logins(client, 0, 30))
    (refusal,) = await asyncio.gather(*logins(client, 30, 1))
    async with browsing(app, "198.51.100.1") as elsewhere:
        (other,) = await asyncio.gather(*logins(elsewhere, 30, 1))

    assert {answer.status_code for answer in admitted} == {401}
    assert refused(refusal)
    assert headers_of(refusal)[0] == 30
    # Whoever the address asked for then was not counted: nobody is locked out by it.
    assert other.status_code == 401


async def test_an_address_admits_ten_sign_ups_a_minute(app, client, ada, root):
    await exhaust(client, USERS, {"json": WEAK}, 10)

    async with browsing(app, "198.51.100.1") as elsewhere:
        assert (await elsewhere.post(USERS, json=WEAK)).status_code == 422
    assert refused(await ada.post("/users", json=WEAK))
    by_superuser = await root.post("/users", json=WEAK)
    assert by_superuser.status_code == 422


async def test_superusers_sign_up_others_within_their_limit_of_writes(root):
    for number in range(2):
        body = {"email": f"{number}@example.com", "password": PASSWORD}
        response = await root.post("/users", json=body)
        assert response.status_code == 201
        assert headers_of(response)[0] == 600


async def test_a_session_admits_thirty_refreshes_a_minute(client, ada):
    phone = replace(ada)
    await phone.login()
    for _ in range(30):
        response = await client.post(REFRESH, json={"refresh_token": ada.tokens["refresh_token"]})
        assert response.status_code == 200
        ada.tokens = response.json()

    body = {"refresh_token": ada.tokens["refresh_token"]}
    assert refused(await client.post(REFRESH, json=body))
    other = REFRESH_TOKENS.new(UUID(hex=body["refresh_token"].partition(".")[0]))
    assert refused(await client.post(REFRESH, json={"refresh_token": other}))
    # Not counted as reuse, and the other session has its own thirty.
    assert (await ada.get("/users/me")).status_code == 200
    body = {"refresh_token": phone.tokens["refresh_token"]}
    assert (await client.post(REFRESH, json=body)).status_code == 200


async def test_two_products_on_one_redis_count_apart(app, settings, client, runtime):
    """By reading: the first part of a key is a setting."""
    limits = {"sign_up": "1/minute", "prefix": "another:limiter"}
    async with (
        limiting(settings, **limits) as another,
        browsing(another) as there,
        limiting(settings, sign_up="1/minute") as one,
        browsing(one) as here,
    ):
        answers = [await visitor.post(USERS, json=WEAK) for visitor in (here, there) * 2]
    keys = await runtime.cache.redis.keys("*limiter*")

    assert [answer.status_code for answer in answers] == [422, 422, 429, 429]
    assert {key.split(b":")[0] + b":" for key in keys} == {b"myapi:", b"another:"}


async def test_guesses_of_refresh_tokens_make_no_key_in_redis_each(client, runtime, statements):
    """S9: random session ids, as earlier releases took them, count against their sender."""
    for number in range(20):
        guess = f"{uuid4().hex}.{'A' * (43 if number % 2 else 70)}"
        response = await client.post(REFRESH, json={"refresh_token": guess})
        assert response.status_code == 401

    keys = await runtime.cache.redis.keys("*")
    assert len(keys) == 2  # of the address, by both limits
    assert statements == []


async def test_refreshes_are_limited_by_address_too_for_all_users_together(
    app, settings, client, ada, bob
):
    """S9: counted first, with a limit of its own that many may share."""
    async with limiting(settings, refresh_address="2/minute") as app, browsing(app) as few:
        tokens = [somebody.tokens["refresh_token"] for somebody in (ada, bob, ada)]
        first, second, third = [
            await few.post(REFRESH, json={"refresh_token": token}) for token in tokens
        ]
        async with browsing(app, "198.51.100.1") as elsewhere:
            other = await elsewhere.post(REFRESH, json={"refresh_token": tokens[0]})

    assert (first.status_code, second.status_code) == (200, 200)
    assert refused(third)
    assert other.status_code == 200


def test_the_limit_of_refreshes_by_address_is_generous(settings):
    assert settings.limiter.refresh_address == "300/minute"


@pytest.mark.parametrize("token", ["nonsense", "", None, 7])
async def test_refreshes_that_name_no_session_count_against_their_sender(app, strict, token):
    await exhaust(strict, REFRESH, {"json": {"refresh_token": token}}, 1)

    async with browsing(app, "198.51.100.1") as elsewhere:
        response = await elsewhere.post(REFRESH, json={"refresh_token": token})

    assert response.status_code in {401, 422}


async def test_a_session_admits_five_wrong_passwords_a_minute(client, ada):
    phone = replace(ada)
    await phone.login()
    guess = {"current_password": "a guess", "new_password": "another password"}

    answers = [await ada.post("/auth/password", json=guess) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert refused(answers[-1])
    assert (await phone.post("/auth/password", json=guess)).status_code == 422


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_hit_that_is_given_back_is_left_again(client, runtime, is_shared):
    breaker, item = runtime.cache if is_shared else None, parsed("2/minute")
    one, two = HitCounter(breaker, "test"), HitCounter(breaker, "test")
    other = two if is_shared else one
    windows = [await one.hit(item, "login", "ada") for _ in range(2)]

    await other.give_back(windows[0], "login", "ada")
    third, fourth = [await other.hit(item, "login", "ada") for _ in range(2)]
    for window in (windows[1], third, fourth):
        await one.give_back(window, "login", "ada")
    await one.give_back(replace(fourth, reset=time.monotonic() - 1), "login", "ada")
    after = [await one.hit(item, "login", "ada") for _ in range(2)]

    assert (third.used, third.is_exceeded) == (2, False)
    assert fourth.is_exceeded
    assert [window.used for window in after] == [1, 2]
    assert all(1 <= window.retry_after() <= 60 for window in after)


async def test_reads_and_writes_are_counted_apart_and_per_user(settings, client, ada, bob):
    async with limiting(settings, read="3/minute", write="2/minute") as app, browsing(app) as few:
        phone = replace(ada, client=few)
        await phone.login()
        ada.client = bob.client = few

        reads = [await device.get("/users/me") for device in (ada, phone, ada, phone)]
        writes = [await device.patch("/users/me", json={}) for device in (ada, phone, ada)]

        assert [headers_of(read)[:2] for read in reads] == [(3, 2), (3, 1), (3, 0), (3, 0)]
        assert [refused(read) for read in reads] == [False] * 3 + [True]
        assert [headers_of(write)[:2] for write in writes] == [(2, 1), (2, 0), (2, 0)]
        assert [refused(write) for write in writes] == [False] * 2 + [True]
        assert (await bob.get("/users/me")).status_code == 200


async def test_a_thousand_reads_in_a_burst_succeed(ada):
    await ada.get("/users/me")  # remembered from now on: it is not about the database

    async def reads() -> set[int]:
        return {(await ada.get("/users/me")).status_code for _ in range(20)}

    statuses = await asyncio.gather(*(reads() for _ in range(50)))

    assert set.union(*statuses) == {200}


async def test_two_processes_count_together(settings, client, ada):
    async with (
        limiting(settings, read="4/minute") as one,
        limiting(settings, read="4/minute") as two,
        browsing(one) as here,
        browsing(two) as there,
    ):
        answers = [
            await replace(ada, client=process).get("/users/me") for process in (here, there) * 3
        ]

    assert [headers_of(answer)[1] for answer in answers] == [3, 2, 1, 0, 0, 0]
    assert [refused(answer) for answer in answers] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(("begun", "seconds", "pause"), [("here", 1, 0), ("elsewhere", 2, 0.6)])
async def test_a_client_that_waits_for_retry_after_is_admitted(
    settings, client, ada, begun, seconds, pause
):
    async with (
        limiting(settings, read=f"1/{seconds} second") as one,
        limiting(settings, read=f"1/{seconds} second") as two,
        browsing(one) as first,
        browsing(two if begun == "elsewhere" else one) as second,
    ):
        before = time.time()
        assert (await replace(ada, client=first).get("/users/me")).status_code == 200
        begun_by = time.time()
        await asyncio.sleep(pause)  # 1.4 s are left then, which rounded would be 1
        ada.client = second
        asked = time.time()
        refusal = await ada.get("/users/me")
        least, most = (seconds - time.time() + before, seconds - asked + begun_by)
        await asyncio.sleep(int(refusal.headers["Retry-After"]))
        admitted = await ada.get("/users/me")

    assert refused(refusal)
    assert int(least) + 1 <= int(refusal.headers["Retry-After"]) <= int(most) + 1
    assert admitted.status_code == 200


@pytest.mark.usefixtures("impatient")
async def test_a_burst_waits_once_for_a_redis_that_hangs(servers):
    async with proxied(servers.redis) as proxy, connect_redis(proxy.url) as redis:
        breaker = CircuitBreaker("limiter", redis, "test")
        counter = HitCounter(breaker, "myapi:limiter")
        proxy.freeze()
        began = time.monotonic()
        windows = await asyncio.gather(*(counter.hit(parsed("50/minute"), "a") for _ in range(60)))
        took = time.monotonic() - began
        breaker.close()

    assert took < 10 * TIMEOUT  # one after the other it would be sixty
    assert all(window.is_local for window in windows)
    assert [window.is_exceeded for window in windows].count(True) == 10


@pytest.mark.parametrize(
    ("address", "other", "together"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:DB8:0:1:0::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("no address", "no address", True),
        ("no address", "192.0.2.7", False),
    ],
)
async def test_a_network_counts_as_one_address(strict_app, client, address, other, together):
    async with browsing(strict_app, address) as one, browsing(strict_app, other) as two:
        assert (await one.post(USERS, json=WEAK)).status_code == 422
        response = await two.post(USERS, json=WEAK)

    assert refused(response) is together


async def test_headers_of_a_client_are_not_its_address(strict):
    for number, name in enumerate(("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP")):
        response = await strict.post(USERS, json=WEAK, headers={name: f"198.51.100.{number}"})
        assert refused(response) is (number > 0)


@pytest.mark.parametrize(("trusted", "second_is_refused"), [("", True), ("127.0.0.1", False)])
async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    servers, client, tmp_path, trusted, second_is_refused
):
    settings = {"SERVER_FORWARDED_ALLOW_IPS": trusted, "LIMITER_SIGN_UP": "1/minute"}
    with instance(servers, tmp_path, **settings) as serving:
        async with httpx.AsyncClient(base_url=serving.url) as proxy:

            async def sign_up(forwarded: str) -> httpx.Response:
                return await proxy.post(USERS, json=WEAK, headers={"X-Forwarded-For": forwarded})

            assert (await sign_up("203.0.113.1")).status_code == 422
            assert refused(await sign_up("203.0.113.2")) is second_is_refused
            # What a client writes into the header itself stands before what the proxy adds.
            assert refused(await sign_up("203.0.113.3, 203.0.113.1"))


async def test_a_limiter_that_is_switched_off_limits_nothing(settings, client, ada):
    off = settings.replaced(limiter={"enabled": False, **dict.fromkeys(LIMITS, "1/minute")})
    async with running(off) as app, browsing(app) as free:
        ada.client = free
        for _ in range(3):
            signed_up = await free.post(USERS, json=WEAK)
            read = await ada.get("/users/me")
            refreshed = await free.post(
                REFRESH, json={"refresh_token": ada.tokens["refresh_token"]}
            )
            ada.tokens = refreshed.json()
            assert (signed_up.status_code, read.status_code) == (422, 200)
            assert refreshed.status_code == 200
            assert not any(name.startswith("ratelimit") for name in read.headers)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_is_never_limited(strict, path):
    for _ in range(3):
        response = await strict.get(path)
        assert response.status_code == 200
        assert not any(name.startswith("ratelimit") for name in response.headers)
