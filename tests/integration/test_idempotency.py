"""A request with an Idempotency-Key is carried out once, however often it comes."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.core.exceptions import ConflictException
from app.core.security.signing import BodyFingerprints
from app.models import IdempotentResponse
from app.services.idempotency import RETENTION, IdempotencyService, IdempotentRequest
from tests.conftest import PASSWORD, Person, person

BULK = "/api/v1/users/bulk"
HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$MTIzNDU2NzgxMjM0NTY3OA$"
    "PDQKr8dEbVH7gKW6zOcmc1lVcV0kbBwN0Qg2DvCLCvc"
)
ROWS = [{"email": f"person{n}@example.com", "hashed_password": HASH} for n in range(3)]


async def send(someone: Person, key: str | bytes, rows: object = ROWS, query: str = ""):
    headers = [
        (b"Authorization", f"Bearer {someone.tokens['access_token']}".encode()),
        (b"Idempotency-Key", key if isinstance(key, bytes) else key.encode()),
    ]
    return await someone.client.post(BULK + query, json=rows, headers=headers)


async def fetch(runtime, query: str) -> object:
    async with runtime.session_maker() as db:
        return await db.scalar(text(query))


async def count_users(runtime) -> object:
    return await fetch(runtime, "SELECT count(*) FROM users")


async def test_a_repeated_request_gets_the_first_answer(root, runtime):
    first = await send(root, "key-1")
    again = await send(root, "key-1")

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await count_users(runtime) == 4


async def test_a_repeated_request_gets_it_also_after_a_change(root, runtime):
    first = await send(root, "key-1")
    await root.delete(f"/users/{first.json()[0]['id']}")

    again = await send(root, "key-1")

    assert again.json() == first.json()
    assert await count_users(runtime) == 3


async def test_the_same_key_with_another_body_is_a_409(root, runtime):
    await send(root, "key-1")

    response = await send(root, "key-1", ROWS[:2])

    assert response.status_code == 409
    assert [detail["field"] for detail in response.json()["details"]] == ["Idempotency-Key"]
    assert await count_users(runtime) == 4


async def test_another_key_is_another_request(root):
    await send(root, "key-1")

    response = await send(root, "key-2")

    assert response.status_code == 409
    assert [detail["index"] for detail in response.json()["details"]] == [0, 1, 2]


async def test_each_caller_has_keys_of_their_own(client, runtime, root):
    eve = await person(client, runtime, "eve", is_superuser=True)
    await send(root, "key-1")

    response = await send(eve, "key-1", [{"email": "x@example.com", "hashed_password": HASH}])

    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers


@pytest.mark.parametrize("rows", [[{"email": "x", "password": PASSWORD}], []])
async def test_a_refusal_is_not_stored(root, rows):
    refused = await send(root, "key-1", rows)

    accepted = await send(root, "key-1")

    assert refused.status_code == 422
    assert accepted.status_code == 201


async def test_a_dry_run_stores_nothing_and_repeats_no_response(root, runtime):
    before = await send(root, "key-1", query="?dry_run=true")
    await send(root, "key-1")
    after = await send(root, "key-1", query="?dry_run=true")

    assert before.json()["is_acceptable"] is True
    assert after.json()["is_acceptable"] is False
    assert await count_users(runtime) == 4


@pytest.mark.parametrize("key", ["", "x" * 129, "with space", "tab\tbed", b"\xfcber", b"\x7f"])
async def test_a_key_that_is_malformed_is_refused(root, runtime, key):
    response = await send(root, key)

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == ["Idempotency-Key"]
    assert await count_users(runtime) == 1


@pytest.mark.parametrize("key", ["x" * 128, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
async def test_a_key_of_any_visible_characters_is_accepted(root, key):
    assert (await send(root, key)).status_code == 201


@pytest.mark.parametrize("secret", [{"hashed_password": HASH}, {"password": PASSWORD}])
async def test_requests_at_once_with_one_key_are_carried_out_once(root, runtime, secret):
    rows = [{"email": f"person{n}@example.com", **secret} for n in range(20)]

    answers = await asyncio.gather(*(send(root, "key-1", rows) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await count_users(runtime) == 21


async def test_requests_at_once_with_one_key_and_other_bodies_are_carried_out_once(root, runtime):
    bodies = [[{"email": f"p{n}@example.com", "hashed_password": HASH}] for n in range(5)]

    answers = await asyncio.gather(*(send(root, "key-1", body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert await count_users(runtime) == 2


async def test_a_stored_response_and_its_changes_are_committed_together(root, runtime, monkeypatch):
    async def fail(*_) -> None:
        raise RuntimeError

    monkeypatch.setattr(IdempotencyService, "store", fail)
    failed = await send(root, "key-1")
    monkeypatch.undo()

    assert failed.status_code == 500
    assert await count_users(runtime) == 1
    assert (await send(root, "key-1")).status_code == 201


async def test_a_response_is_stored_for_a_day(root, runtime):
    await send(root, "key-1")
    await age(runtime, RETENTION - timedelta(minutes=1))
    within = await send(root, "key-1")
    await age(runtime, timedelta(minutes=2))

    rows = [{"email": "later@example.com", "hashed_password": HASH}]
    after = await send(root, "key-1", rows)

    assert within.headers["idempotency-replayed"] == "true"
    assert after.status_code == 201
    assert (await send(root, "key-1", rows)).content == after.content


async def age(runtime, by: timedelta) -> None:
    async with runtime.session_maker() as db:
        await db.execute(
            update(IdempotentResponse).values(created_at=IdempotentResponse.created_at - by)
        )
        await db.commit()


async def test_answers_older_than_a_day_are_purged(root, runtime):
    await send(root, "old")
    await age(runtime, RETENTION + timedelta(minutes=1))
    rows = [{"email": "later@example.com", "hashed_password": HASH}]
    await send(root, "young", rows)

    async with runtime.session_maker() as db:
        purged = await IdempotencyService(db).purge()

    assert purged == 1
    assert await fetch(runtime, "SELECT key FROM kept_answers") == "young"


async def test_only_a_keyed_hash_of_a_body_is_stored(root, runtime):
    await send(root, "key-1")

    fingerprint = await fetch(runtime, "SELECT fingerprint FROM kept_answers")
    body = await fetch(runtime, "SELECT body FROM kept_answers")

    assert isinstance(fingerprint, bytes)
    assert isinstance(body, bytes)
    assert len(fingerprint) == 32
    assert b"argon2" not in body


def test_a_body_is_recognised_after_a_change_of_keys():
    (before,) = BodyFingerprints("old").of(b"body")

    after = BodyFingerprints("new", ["old"]).of(b"body")

    assert before in after
    assert after[0] != before


async def test_a_slower_attempt_hears_of_the_faster_one(client, runtime):
    request = IdempotentRequest(7, "anything", "key-1", [b"f" * 32])
    async with runtime.session_maker() as fast, runtime.session_maker() as slow:
        await IdempotencyService(fast).store(request, b"[]")
        waiting = asyncio.create_task(IdempotencyService(slow).store(request, b"{}"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await fast.commit()

        with pytest.raises(ConflictException):
            await waiting

    async with runtime.session_maker() as db:
        found = await IdempotencyService(db).find(request)
    assert found == b"[]"
