"""Hashing in a bounded pool, and what tokens are made of."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import get_args
from uuid import UUID, uuid4

import pytest

from app.core.config import AuthSettings
from app.core.exceptions import (
    ServiceUnavailableException,
    UnauthorizedException,
    ValidationException,
)
from app.core.security import (
    AccessToken,
    PasswordHasher,
    RefreshTokenSigner,
    TokenKind,
    TokenSigner,
)
from app.core.security.passwords import hashing
from app.core.security.signing import CursorSigner, FormSigner, Position


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
async def test_an_impossible_password_is_never_accepted(hasher, password):
    """Not even against the hash of the empty string, which stands in for what is too long."""
    assert (await hasher.verify(password, None))[0] is False
    hashed_empty = await hasher.hash("")
    assert (await hasher.verify("x" * 257, hashed_empty))[0] is False


async def test_an_unknown_account_costs_a_hash_like_any_other(hasher, monkeypatch):
    against = []

    def verify(_, hashed):
        against.append(hashed)
        return False, None

    monkeypatch.setattr("app.core.security.passwords.hashing._verify", verify)

    await hasher.verify("anything", None)

    assert against[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("hashed", ["", "x", "!", "$argon2id$v=19$m=1", "$2b$12$short"])
async def test_an_invalid_hash_is_never_accepted(hasher, hashed):
    assert await hasher.verify("anything", hashed) == (False, None)


async def test_an_imported_bcrypt_hash_is_verified_and_replaced(hasher):
    from passlib.hash import bcrypt

    is_right, renewed = await hasher.verify("brought", bcrypt.using(rounds=4).hash("brought"))

    assert is_right
    assert renewed is not None
    assert renewed.startswith("$argon2id$")


async def test_a_password_too_long_for_bcrypt_is_wrong_and_not_cut(hasher):
    from passlib.hash import bcrypt

    hashed = bcrypt.using(rounds=4).hash("x" * 72)

    assert await hasher.verify("x" * 73, hashed) == (False, None)


async def test_a_full_hashing_queue_is_unavailable_and_recovers(hasher, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(
        "app.core.security.passwords.hashing._verify", lambda *_: (release.wait(5), None)
    )
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

    monkeypatch.setattr("app.core.security.passwords.hashing._verify", verify)
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


async def test_an_abandoned_bulk_is_not_hashed_to_its_end(hasher, monkeypatch):
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


def test_an_access_token_names_its_user_and_session():
    signer = TokenSigner("k" * 32, AuthSettings())
    session_id = uuid4()

    assert signer.read(signer.sign(7, session_id)) == AccessToken(7, session_id)


def test_an_access_token_expires():
    signer = TokenSigner("k" * 32, AuthSettings(access_ttl=1).model_copy(update={"access_ttl": -1}))

    with pytest.raises(UnauthorizedException):
        signer.read(signer.sign(7, uuid4()))


def test_a_refresh_token_names_its_session_and_is_never_the_same():
    signer, session_id = RefreshTokenSigner("k" * 32), uuid4()
    one, other = signer.read(signer.new(session_id, 7)), signer.read(signer.new(session_id, 8))

    assert one.session_id == other.session_id == session_id
    assert (one.generation, other.generation) == (7, 8)
    assert len(one.hash) == 32
    assert one.hash != other.hash
    assert signer.new(session_id) != signer.new(session_id)


def test_a_refresh_token_of_a_key_that_was_replaced_is_taken_while_it_is_accepted():
    token = RefreshTokenSigner("o" * 32).new(uuid4())

    assert RefreshTokenSigner("k" * 32, ["o" * 32]).read(token)
    with pytest.raises(UnauthorizedException):
        RefreshTokenSigner("k" * 32).read(token)


def other_spellings(text: str) -> list[str]:
    """Of a part of a token: what lenient decoders take for the same."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bits_left = {2: 4, 3: 2}.get(len(text) % 4, 0)  # over at the end, without a meaning
    last = alphabet[alphabet.index(text[-1]) | 1] if bits_left else text[-1]
    other_end = last if last != text[-1] else alphabet[alphabet.index(text[-1]) ^ 1]
    spelt = [f"{text[:5]}{junk}{text[5:]}" for junk in ("~", "=", "é", " ", "\n", "\ud800", "\0")]
    spelt += [f"{text}{junk}" for junk in ("=", "==", "~", " ", "\n", "=junk")]
    spelt += [text.replace("-", "+").replace("_", "/")] if set("-_") & set(text) else []
    return spelt + ([text[:-1] + other_end] if bits_left else [])


def refused(read: Callable[[str], object], token: str) -> bool:
    try:
        return read(token) in {None, False}
    except (UnauthorizedException, ValidationException):
        return True


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
def test_a_signed_token_has_one_spelling(part):
    """S16: the three parts of an access token, and of a page's cookie."""
    signer = TokenSigner("k" * 32, AuthSettings())
    for kind in get_args(TokenKind):
        parts = signer.sign(7, uuid4(), kind).split(".")
        read = partial(signer.read, kind=kind)
        assert not refused(read, ".".join(parts))
        for spelling in other_spellings(parts[part]):
            assert refused(read, ".".join([*parts[:part], spelling, *parts[part + 1 :]]))


def test_a_refresh_token_has_one_spelling():
    """S16: of the session's id, too, which Python reads in braces and capitals."""
    signer, session_id = RefreshTokenSigner("k" * 32), UUID(int=0xABCDEF << 96)
    session, secret = signer.new(session_id).split(".")
    spellings = [f"{session}.{other}" for other in other_spellings(secret)]
    ids = session.upper(), f"{{{session}}}", str(session_id), f"urn:uuid:{session}", f" {session}"
    spellings += [f"{other}.{secret}" for other in ids]
    spellings += [f"{session}.{secret}.", f"{session}..{secret}", f"{session}{secret}", ""]

    assert signer.read(f"{session}.{secret}")
    assert [token for token in spellings if not refused(signer.read, token)] == []


def test_every_other_signed_value_has_one_spelling():
    """S16: tokens of forms, marks of uploads, notices in cookies, cursors."""
    forms, cursors = FormSigner("k" * 32), CursorSigner("k" * 32)
    position = Position("ada", 7)
    signed: dict[str, Callable[[str], object]] = {
        forms.token("ada"): lambda token: forms.is_token_of("ada", token),
        forms.seal("Saved ada!"): forms.unseal,
        forms.seal("Saved ada"): forms.unseal,
        cursors.sign(position, "users"): lambda cursor: cursors.read(cursor, "users"),
    }

    for text, read in signed.items():
        assert not refused(read, text)
        assert [other for other in other_spellings(text) if not refused(read, other)] == []
