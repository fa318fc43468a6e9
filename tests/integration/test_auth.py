"""Logging in, staying in and getting out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from jose import jwt
from sqlalchemy import text

from app.core.security import PasswordHasher
from tests.conftest import PASSWORD
from tests.integration.test_sessions import refreshed

LOGIN, TOKEN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/token", "/api/v1/auth/refresh"
KEY = "a secret that is only used in the tests"


async def test_a_login_gives_a_pair_of_tokens(client, ada):
    response = await client.post(LOGIN, json={"email": "ADA@example.com", "password": PASSWORD})

    assert response.status_code == 200
    tokens = response.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 900
    assert response.headers["cache-control"] == "no-store"


async def test_a_session_is_inserted_without_a_savepoint(client, ada, statements):
    """By reading: nothing of it can be taken, and each statement is a round trip."""
    await ada.login()

    assert any("INSERT INTO sessions" in statement for statement in statements)
    assert not any("SAVEPOINT" in statement for statement in statements)


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.com", "Ada@Example.com"])
async def test_the_form_takes_a_username_or_an_email(client, ada, login):
    response = await client.post(TOKEN, data={"username": login, "password": PASSWORD})

    assert response.status_code == 200
    ada.tokens = response.json()
    assert (await ada.get("/users/me")).status_code == 200


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("nobody@example.com", PASSWORD),
        ("ada@example.com", "wrong"),
        ("ada@example.com", ""),
        ("ada@example.com", PASSWORD + "x"),
        ("ada@example.com", "x" * 100_000),
        ("ada@example.com", "nul\x00"),
        ("no address", PASSWORD),
        ("", ""),
    ],
)
async def test_refused_logins_are_alike_and_cost_one_hash_each(
    client, ada, monkeypatch, email, password
):
    verified = []
    original = PasswordHasher._run

    async def counted(self, work, *arguments):
        verified.append(work)
        return await original(self, work, *arguments)

    monkeypatch.setattr(PasswordHasher, "_run", counted)

    response = await client.post(LOGIN, json={"email": email, "password": password})

    assert response.status_code == 401
    refusal = response.json()
    refusal.pop("request_id")
    assert refusal == {
        "error": "unauthorized",
        "message": "Incorrect email or password",
        "details": [],
    }
    assert len(verified) == 1


async def test_a_disabled_account_is_refused_like_an_unknown_one(client, ada, root):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    disabled = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    unknown = await client.post(LOGIN, json={"email": "x@example.com", "password": PASSWORD})

    assert disabled.status_code == unknown.status_code == 401
    assert disabled.json()["message"] == unknown.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@example.com"},
        {"email": "a" * 255, "password": ""},
        {"email": 1},
        [],
        "x",
        7,
    ],
)
async def test_a_login_of_the_wrong_form_is_a_422(client, body):
    assert (await client.post(LOGIN, json=body)).status_code == 422


async def test_the_sessions_device_is_stored(client, runtime, ada):
    await client.post(
        LOGIN,
        json={"email": ada.email, "password": PASSWORD},
        headers={"User-Agent": "Firefox/" + "1" * 300, "X-Forwarded-For": "203.0.113.9"},
    )

    async with runtime.session_maker() as db:
        query = text("SELECT user_agent, address FROM sessions ORDER BY created_at DESC LIMIT 1")
        device = (await db.execute(query)).one()
    assert device.user_agent == ("Firefox/" + "1" * 300)[:255]
    assert device.address == "192.0.2.7"  # the peer's: nobody made it a proxy that is trusted


async def test_a_logout_ends_this_session_and_no_other(client, ada):
    first = ada.tokens
    second = await ada.login()

    ada.tokens = first
    response = await ada.post("/auth/logout")

    assert response.status_code == 204
    assert (await ada.get("/users/me")).status_code == 401
    refused = await client.post(REFRESH, json={"refresh_token": first["refresh_token"]})
    assert refused.status_code == 401
    ada.tokens = second
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_refresh_gives_a_new_pair_and_keeps_the_session(client, ada):
    before = ada.tokens

    response = await client.post(REFRESH, json={"refresh_token": before["refresh_token"]})

    assert response.status_code == 200
    assert response.json()["refresh_token"] != before["refresh_token"]
    assert (await ada.get("/users/me")).status_code == 200  # the old access token holds on
    ada.tokens = response.json()
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_reused_refresh_token_ends_the_session(client, ada):
    first = ada.tokens["refresh_token"]
    for _ in range(2):  # what was exchanged for the first has been used, so that it did arrive
        newest = {"refresh_token": ada.tokens["refresh_token"]}
        ada.tokens = (await client.post(REFRESH, json=newest)).json()

    replay = await client.post(REFRESH, json={"refresh_token": first})

    assert replay.status_code == 401
    assert (await ada.get("/users/me")).status_code == 401
    newest = {"refresh_token": ada.tokens["refresh_token"]}
    assert (await client.post(REFRESH, json=newest)).status_code == 401


@pytest.mark.parametrize(
    "token",
    [
        *("", "x", ".", "1f" * 16 + ".x", "zz" * 16 + ".x", "a" * 5000, "é.é"),
        f"{UUID(int=1)}.x",
        f"{'1f' * 16}.{'A' * 70}",
        f"{'1f' * 16}.{'A' * 43}",  # as earlier releases had them
    ],
)
async def test_a_refresh_token_that_never_was_is_a_401_without_a_query(
    client, ada, statements, token
):
    """S9: what is no token of ours costs neither a transaction nor a place in Redis."""
    response = await client.post(REFRESH, json={"refresh_token": token})

    assert response.status_code == 401
    assert statements == []
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_session_that_expired_is_over(client, ada, runtime):
    async with runtime.session_maker() as db:
        await db.execute(text("UPDATE sessions SET expires_at = now()"))
        await db.commit()

    body = {"refresh_token": ada.tokens["refresh_token"]}

    assert (await client.post(REFRESH, json=body)).status_code == 401
    assert (await ada.get("/users/me")).status_code == 401


def forged(ada, key=KEY, algorithm="HS256", without=(), **changes):
    claims = jwt.get_unverified_claims(ada.tokens["access_token"]) | changes
    return jwt.encode({k: v for k, v in claims.items() if k not in without}, key, algorithm)


async def test_a_token_signed_with_the_right_key_is_accepted(ada):
    """Otherwise the refusals below would prove nothing."""
    ada.tokens["access_token"] = forged(ada)

    assert (await ada.get("/users/me")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"key": "another key of no less than 32 characters"},
        {"algorithm": "HS384"},
        {"algorithm": "HS512"},
        *({"without": (claim,)} for claim in ("exp", "iat", "sub", "sid", "typ", "iss", "aud")),
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"typ": "refresh"},
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"sub": "0"},
        {"sub": "x"},
        {"sub": "9" * 5000},
        {"sub": 1},
        {"sid": "x"},
        {"sid": str(uuid4())},
        {"sid": ["a"]},
        {"sid": None},
        {"nested": "x" * 1500},
    ],
)
async def test_a_token_with_anything_wrong_is_a_401(ada, change):
    nested = change.pop("nested", None)
    token = forged(ada, **change)
    if nested:
        token = forged(ada, sid=[[[[nested]]]])
    ada.tokens["access_token"] = token

    response = await ada.get("/users/me")

    assert response.status_code == 401
    assert response.json()["error"] in {"token_invalid", "token_expired", "token_revoked"}


def refusal(response):
    assert response.status_code == 401
    return response.json()["error"], response.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"exp": datetime.now(UTC) - timedelta(seconds=1)}, "token_expired"),
        ({"key": "another key of no less than 32 characters"}, "token_invalid"),
        (
            {
                "key": "another key of 32 characters or more",
                "exp": datetime(2001, 1, 1, tzinfo=UTC),
            },
            "token_invalid",
        ),
        ({"typ": "page", "exp": datetime(2001, 1, 1, tzinfo=UTC)}, "token_invalid"),
        ({"sid": str(uuid4())}, "token_revoked"),
    ],
)
async def test_a_401_distinguishes_expired_revoked_and_invalid_tokens(ada, change, error):
    ada.tokens["access_token"] = forged(ada, **change)

    told = refusal(await ada.get("/users/me"))

    assert told == (error, f'Bearer error="invalid_token", error_description="{error}"')


async def test_after_a_logout_both_tokens_are_revoked(client, ada):
    await ada.post("/auth/logout")

    access = refusal(await ada.get("/users/me"))
    refresh = refusal(await refreshed(client, ada.tokens["refresh_token"]))
    made_up = refusal(await refreshed(client, "made up"))

    assert [error for error, _ in (access, refresh, made_up)] == [
        "token_revoked",
        "token_revoked",
        "token_invalid",
    ]


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        "Bearer " + "A" * 5000,
        "Bearer " + "A" * 1_000_000,
        "Bearer " + "[" * 1500,
        "Basic YWRhOmFkYQ==",
        "Token x",
        "Bearer \xff\xfe",
    ],
)
async def test_an_invalid_authorization_header_is_a_401(client, authorization):
    response = await client.get(
        "/api/v1/users/me", headers={"Authorization": authorization.encode("latin-1")}
    )

    assert response.status_code == 401
    assert response.headers["www-authenticate"].partition(" ")[0] == "Bearer"


@pytest.mark.usefixtures("costly")
async def test_a_hash_with_other_parameters_is_renewed_at_login(client, ada, runtime):
    from passlib.hash import argon2

    weak = argon2.using(memory_cost=1024, time_cost=1, parallelism=1).hash(PASSWORD)
    async with runtime.session_maker() as db:
        await db.execute(text("UPDATE users SET hashed_password = :weak"), {"weak": weak})
        await db.commit()

    await ada.login()

    async with runtime.session_maker() as db:
        (hashed,) = await db.scalars(text("SELECT hashed_password FROM users"))
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await ada.login()


async def test_no_connection_is_held_while_a_password_is_hashed(client, ada, runtime, monkeypatch):
    held = []
    original = PasswordHasher._run

    async def watched(self, work, *arguments):
        held.append(runtime.engine.pool.checkedout())
        return await original(self, work, *arguments)

    monkeypatch.setattr(PasswordHasher, "_run", watched)

    await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    await client.post("/api/v1/users", json={"email": "b@example.com", "password": PASSWORD})

    assert held == [0, 0]
