"""A sign-up with an Idempotency-Key is carried out once, also of a caller without an account."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.config import Settings
from tests.access import API
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.mailbox import Mailbox

USERS = f"{API}/users"
ADA = {"email": "ada@example.com", "password": PASSWORD}
EVE = {"email": "eve@example.com", "password": PASSWORD}


async def send(
    client: httpx.AsyncClient, key: str, body: dict[str, Any] = ADA, by: Person | None = None
) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    if by is not None:
        headers["Authorization"] = f"Bearer {by.tokens['access_token']}"
    return await client.post(USERS, json=body, headers=headers)


def is_replay(response: httpx.Response) -> bool:
    return bool(response.headers.get("Idempotency-Replayed") == "true")


async def count(runtime, table: str = "users") -> object:
    async with runtime.session_maker() as db:
        return await db.scalar(text(f"SELECT count(*) FROM {table}"))


@pytest.fixture
async def required(settings: Settings, client) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that requires verified emails."""
    strict = settings.replaced(auth={"email_verification": "required"})
    async with running(strict) as app, browsing(app) as browser:
        yield browser


async def test_a_repeated_sign_up_gets_the_first_answer(client, runtime):
    first, again = [await send(client, "key-1") for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (is_replay(first), is_replay(again)) == (False, True)
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert first.headers["Location"] == f"{USERS}/{first.json()['id']}"
    assert await count(runtime) == 1


async def test_without_a_key_a_repeated_sign_up_is_a_conflict(client):
    first, again = [await client.post(USERS, json=ADA) for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 409)


async def test_the_same_key_with_another_body_is_a_409(client, runtime):
    await send(client, "key-1")

    other = await send(client, "key-1", EVE)
    guess = await send(client, "key-1", {**ADA, "password": f"{PASSWORD}?"})

    for refused in (other, guess):
        assert refused.status_code == 409
        assert [detail["field"] for detail in refused.json()["details"]] == ["Idempotency-Key"]
        assert "ada" not in refused.text
    assert await count(runtime) == 1


@pytest.mark.parametrize("key", ["", "x" * 129, "with space"])
async def test_a_key_that_is_malformed_is_refused(client, runtime, key):
    refused = await send(client, key)

    assert refused.status_code == 422
    assert [detail["field"] for detail in refused.json()["details"]] == ["Idempotency-Key"]
    assert await count(runtime) == 0


@pytest.mark.parametrize("refused", [{**ADA, "password": "short"}, {**ADA, "email": "x"}])
async def test_a_refusal_is_not_stored(client, refused):
    first = await send(client, "key-1", refused)

    assert first.status_code == 422
    assert (await send(client, "key-1")).status_code == 201


async def test_the_key_of_an_anonymous_caller_is_unknown_elsewhere(app, client, runtime):
    """Not even whether it was used is told."""
    await send(client, "key-1")
    async with browsing(app, "198.51.100.9") as stranger:
        same = await send(stranger, "key-1")
        other = await send(stranger, "key-1", EVE)

    assert same.status_code == 409
    assert [detail["field"] for detail in same.json()["details"]] == ["email"]
    assert other.status_code == 201
    assert not is_replay(other)
    assert await count(runtime) == 2


async def test_a_network_of_ipv6_has_one_set_of_keys(app, client):
    async with browsing(app, "2001:db8::1") as here, browsing(app, "2001:db8::2") as beside:
        first = await send(here, "key-1")
        again = await send(beside, "key-1")

    assert is_replay(again)
    assert again.content == first.content


async def test_a_callers_keys_are_their_own_wherever_they_are(app, client, runtime, root):
    eve = await person(client, runtime, "eve", is_superuser=True)
    first = await send(client, "key-1", by=root)
    async with browsing(app, "198.51.100.9") as elsewhere:
        again = await send(elsewhere, "key-1", by=root)
        others = await send(elsewhere, "key-1", by=eve)
        nobody = await send(elsewhere, "key-1")

    assert is_replay(again)
    assert again.content == first.content
    assert (others.status_code, nobody.status_code) == (409, 409)
    assert [detail["field"] for detail in others.json()["details"]] == ["email"]


async def test_what_a_caller_may_not_do_is_refused_to_a_repeated_request_too(
    settings, client, root
):
    """The answer of a request that was accepted before is not told to whoever is refused now."""
    await send(client, "key-1")
    closed = settings.replaced(auth={"registration_enabled": False})
    async with running(closed) as app, browsing(app) as late:
        refused = await send(late, "key-1")

    assert refused.status_code == 401


async def test_neither_password_nor_key_nor_address_is_stored(client, runtime):
    await send(client, "a-key-of-mine")

    async with runtime.engine.connect() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM kept_answers"))).mappings()
    stored = repr(dict(row))
    assert row["user_id"] == 0
    assert len(row["fingerprint"]) == 32
    for secret in (PASSWORD, "a-key-of-mine", "192.0.2.7", "argon2"):
        assert secret not in stored


@pytest.mark.usefixtures("root")
async def test_two_processes_at_once_carry_it_out_once(settings, client, runtime):
    async with running(settings) as app, browsing(app) as other:
        answers = await asyncio.gather(
            *(send(one, "key-1") for one in (client, other) for _ in range(3))
        )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum(not is_replay(answer) for answer in answers) == 1
    assert await count(runtime) == 2


async def test_at_once_with_one_key_and_other_bodies_one_is_carried_out(client, runtime):
    bodies = [{"email": f"p{n}@example.com", "password": PASSWORD} for n in range(4)]

    answers = await asyncio.gather(*(send(client, "key-1", body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await count(runtime) == 1


async def test_where_emails_are_verified_a_repeated_sign_up_sends_no_second_mail(
    required, ada, mailbox: Mailbox
):
    """Else the owner of a new account would read that they had one already."""
    fresh = [await send(required, "key-1", EVE) for _ in range(2)]
    taken = [await send(required, "key-2", {**EVE, "email": ada.email}) for _ in range(2)]
    mails = await mailbox.queued()

    assert {answer.status_code for answer in (*fresh, *taken)} == {202}
    assert len({answer.content for answer in (*fresh, *taken)}) == 1
    assert [[is_replay(one) for one in answers] for answers in (fresh, taken)] == [
        [False, True],
        [False, True],
    ]
    assert [set(one.headers) for one in fresh] == [set(one.headers) for one in taken]
    assert [mail.mail for mail in mails] == ["email-verification", "already-registered"]


async def test_where_emails_are_verified_the_stored_answer_tells_nothing(required, runtime, ada):
    await send(required, "key-1", EVE)
    await send(required, "key-2", {**EVE, "email": ada.email})

    async with runtime.engine.connect() as connection:
        bodies = list(await connection.scalars(text("SELECT body FROM kept_answers")))
    assert bodies == [b"null", b"null"]


async def test_where_emails_are_verified_two_processes_send_one_mail(
    settings, required, mailbox: Mailbox
):
    strict = settings.replaced(auth={"email_verification": "required"})
    async with running(strict) as app, browsing(app) as other:
        answers = await asyncio.gather(*(send(one, "key-1", EVE) for one in (required, other)))

    assert [answer.status_code for answer in answers] == [202, 202]
    assert [mail.mail for mail in await mailbox.queued()] == ["email-verification"]


async def test_where_emails_are_verified_another_body_is_a_409_whoever_has_an_account(
    required, ada
):
    await send(required, "key-1", EVE)

    answers = [
        await send(required, "key-1", {**EVE, "email": email})
        for email in (ada.email, "nobody@example.com")
    ]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["details"] == answers[1].json()["details"]
