"""Hashing in a bounded pool, and what tokens are made of."""

import asyncio
import threading
import time
from uuid import uuid4

import pytest

from app.core.config import AuthSettings
from app.core.exceptions import ServiceUnavailableException, UnauthorizedException
from app.core.security import (
    AccessToken,
    PasswordHasher,
    TokenSigner,
    hash_refresh_token,
    hashing,
    new_refresh_token,
    session_of,
)


@pytest.fixture
def hasher(costly):
    hasher = PasswordHasher(workers=1, queue=2)
    yield hasher
    hasher.close()


async def test_a_hash_is_verified(hasher):
    hashed = await hasher.hash("right")

    assert await hasher.verify("right", hashed) == (True, None)
    assert await hasher.verify("wrong", hashed) == (False, None)


@pytest.mark.parametrize("password", ["", "x" * 257])
async def test_what_can_be_nobodys_password_never_holds(hasher, password):
    """Not even against the hash of the empty string, which stands in for what is too long."""
    assert (await hasher.verify(password, None))[0] is False
    hashed_empty = await hasher.hash("")
    assert (await hasher.verify("x" * 257, hashed_empty))[0] is False


async def test_an_unknown_account_costs_a_hash_like_any_other(hasher, monkeypatch):
    against = []

    def verify(_, hashed):
        against.append(hashed)
        return False, None

    monkeypatch.setattr("app.core.security.hashing._verify", verify)

    await hasher.verify("anything", None)

    assert against[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("hashed", ["", "x", "!", "$argon2id$v=19$m=1", "$2b$12$short"])
async def test_a_hash_that_is_none_never_holds(hasher, hashed):
    assert await hasher.verify("anything", hashed) == (False, None)


async def test_a_bcrypt_hash_that_was_brought_along_holds_and_is_renewed(hasher):
    from passlib.hash import bcrypt

    is_right, renewed = await hasher.verify("brought", bcrypt.using(rounds=4).hash("brought"))

    assert is_right
    assert renewed is not None
    assert renewed.startswith("$argon2id$")


async def test_a_password_too_long_for_bcrypt_is_wrong_and_not_cut(hasher):
    from passlib.hash import bcrypt

    hashed = bcrypt.using(rounds=4).hash("x" * 72)

    assert await hasher.verify("x" * 73, hashed) == (False, None)


async def test_past_the_queue_it_is_unavailable_and_then_works_on(hasher, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("app.core.security.hashing._verify", lambda *_: (release.wait(5), None))
    waiting = [asyncio.create_task(hasher.verify("x", "y")) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(ServiceUnavailableException) as refusal:
        await hasher.verify("x", "y")

    assert refusal.value.headers["Retry-After"]
    release.set()
    await asyncio.gather(*waiting)
    assert await hasher.verify("x", "y") == (True, None)


async def test_a_request_that_gave_up_frees_its_place_when_its_hash_is_done(hasher, monkeypatch):
    release = threading.Event()
    has_begun = threading.Event()

    def verify(*_):
        has_begun.set()
        return release.wait(5), None

    monkeypatch.setattr("app.core.security.hashing._verify", verify)
    waiting = [asyncio.create_task(hasher.verify("x", "y")) for _ in range(3)]
    await asyncio.to_thread(has_begun.wait)

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # Two never began and left at once; the running one still has its core.
    after = [asyncio.create_task(hasher.verify("x", "y")) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(ServiceUnavailableException):
        await hasher.verify("x", "y")
    release.set()

    assert await asyncio.gather(*after) == [(True, None)] * 2


async def test_a_list_is_hashed_in_its_order_however_long_the_queue(hasher):
    passwords = [f"password {n}" for n in range(6)]

    hashes = await hasher.hash_all(passwords)

    for password, hashed in zip(passwords, hashes, strict=True):
        assert await hasher.verify(password, hashed) == (True, None)


async def test_a_list_that_nobody_waits_for_is_not_hashed_to_its_end(hasher, monkeypatch):
    begun: list[str] = []
    has_begun = threading.Event()

    def slow(password: str) -> str:
        begun.append(password)
        has_begun.set()
        time.sleep(0.02)
        return ""

    monkeypatch.setattr(hashing._CONTEXT, "hash", slow)
    listing = asyncio.create_task(hasher.hash_all(["password"] * 100))
    await asyncio.to_thread(has_begun.wait)
    listing.cancel()
    await asyncio.gather(listing, return_exceptions=True)
    await asyncio.sleep(0.1)

    assert len(begun) < 10


@pytest.mark.usefixtures("costly")
async def test_hashing_leaves_the_event_loop_free():
    hasher = PasswordHasher(workers=1)
    busy = asyncio.gather(*(hasher.hash("x") for _ in range(10)))
    turns = 0
    while not busy.done():
        await asyncio.sleep(0.001)
        turns += 1
    hasher.close()

    assert turns > 30  # ten, if it waited for each


def test_an_access_token_says_whose_it_is():
    signer = TokenSigner("k" * 32, AuthSettings())
    session_id = uuid4()

    assert signer.read(signer.sign(7, session_id)) == AccessToken(7, session_id)


def test_an_access_token_expires():
    signer = TokenSigner("k" * 32, AuthSettings(access_ttl=1).model_copy(update={"access_ttl": -1}))

    with pytest.raises(UnauthorizedException):
        signer.read(signer.sign(7, uuid4()))


def test_a_refresh_token_names_its_session_and_is_never_the_same():
    session_id = uuid4()
    one, other = new_refresh_token(session_id), new_refresh_token(session_id)

    assert one != other
    assert session_of(one) == session_of(other) == session_id
    assert len(hash_refresh_token(one)) == 32
    assert hash_refresh_token(one) != hash_refresh_token(other)
