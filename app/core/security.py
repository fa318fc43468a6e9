"""Passwords and tokens."""

import asyncio
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal, TypeVar
from uuid import UUID

from jose import jwt
from passlib.context import CryptContext

from app.core.config import AuthSettings
from app.core.exceptions import ServiceUnavailableException, UnauthorizedException

T = TypeVar("T")
TokenKind = Literal["access", "page"]
"""Where a token counts: in the `Authorization` header, or in the admin page's cookie."""

MAX_PASSWORD_LENGTH = 256
"""Characters. Longer ones are refused, never cut: OWASP ASVS 5 V6.2.9 asks for 64 at least."""
MAX_TOKEN_LENGTH = 4096
"""Characters; ours have about 400. Longer ones are not even decoded."""
REMEMBERED_TOKENS = 4096
"""Tokens whose signature a process need not verify again: about 3 MB. Decoding takes 0.2 ms."""
QUEUE_PER_WORKER = 32
"""Hashes that may wait for each core. At 50 ms each the last waits under two seconds."""

NICENESS = 10
"""Of the hashing threads; 19 would leave them next to nothing beside a busy event loop."""

_ISSUER = "backend-api"
_ALGORITHM = "HS256"
_REQUIRED = ("exp", "iat", "sub", "iss", "aud")

# argon2id with OWASP's parameters for 19 MiB; bcrypt only to verify what was brought along.
_CONTEXT = CryptContext(
    schemes=["argon2", "bcrypt"],
    deprecated="auto",
    argon2__type="ID",
    argon2__memory_cost=19_456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)


class PasswordHasher:
    """argon2id in threads of its own, as many as cores, with a bounded queue.

    The default executor would be shared with whatever else runs in threads, and without a
    bound a burst of logins would hold 19 MiB for each and delay everybody.

    Attributes:
        workers: passwords that can be hashed at once.
    """

    def __init__(self, workers: int | None = None, queue: int | None = None) -> None:
        workers = workers or os.cpu_count() or 1
        queue = workers * QUEUE_PER_WORKER if queue is None else queue
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2", initializer=_give_way)
        self._list_pool = ThreadPoolExecutor(workers, "argon2-lists", initializer=_give_way)
        self._at_once = 2 * workers
        self._places = threading.BoundedSemaphore(workers + queue)
        self._pending: set[Future[Any]] = set()
        self.workers = workers
        self._dummy = _CONTEXT.hash(secrets.token_urlsafe())

    @property
    def pending(self) -> int:
        """Passwords being hashed, or waiting for it."""
        return len(self._pending)

    async def hash(self, password: str) -> str:
        """A PHC string of about 100 characters.

        Raises:
            ServiceUnavailableException: the queue is full.
        """
        return await self._run(_CONTEXT.hash, password)

    async def hash_all(self, passwords: Sequence[str]) -> list[str]:
        """The hashes of many passwords, side by side, in their order.

        In threads of their own, so that the kernel shares the cores between lists and logins:
        in one queue, logins would wait for a whole list, or a list for a place among logins.
        Of each list a few are handed over at a time: two lists take turns, and when a request
        is cancelled, its hashing ends with it.
        """
        places = asyncio.Semaphore(self._at_once)

        async def one(password: str) -> str:
            async with places:
                future = self._list_pool.submit(_CONTEXT.hash, password)
                return await asyncio.wrap_future(future)

        return await asyncio.gather(*map(one, passwords))

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Whether `password` is the one behind `hashed`, and a new hash where parameters changed.

        With None for `hashed`, or a password longer than any that was accepted, it verifies
        against a hash of nothing, so that the answer takes as long and is no.

        Raises:
            ServiceUnavailableException: the queue is full.
        """
        is_possible = hashed is not None and len(password) <= MAX_PASSWORD_LENGTH
        subject = password if is_possible else ""
        against = hashed if is_possible and hashed is not None else self._dummy
        is_right, renewed = await self._run(_verify, subject, against)
        return is_possible and is_right, renewed

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if not self._places.acquire(blocking=False):
            raise ServiceUnavailableException
        future = self._pool.submit(work, *arguments)
        self._pending.add(future)
        # Freed when the hash is done, not when nobody waits for it any more: the hash of a
        # request that was cancelled runs on.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, future: Future[Any]) -> None:
        """Called in the thread that hashed."""
        self._pending.discard(future)
        self._places.release()

    def close(self) -> None:
        """Let the running hashes end and drop the waiting ones."""
        for pool in (self._pool, self._list_pool):
            pool.shutdown(wait=True, cancel_futures=True)


def _give_way() -> None:
    """Let the event loop's thread go first wherever both want a core: Linux schedules by thread.

    Without it readers kept a fifth of their throughput during logins, on two cores.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _verify(password: str, hashed: str) -> tuple[bool, str | None]:
    try:
        return _CONTEXT.verify_and_update(password, hashed)
    except ValueError:
        # A hash of no scheme we know, or a password that its scheme cannot take, such as one
        # of more than 72 bytes for bcrypt.
        return False, None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid token says: whose it is, of which session, and where it counts."""

    user_id: int
    session_id: UUID
    kind: TokenKind = "access"


class TokenSigner:
    """Access tokens, and those in the admin page's cookie: JWTs, HS256 and nothing else.

    Args:
        secret_key: 32 characters or more; it signs.
        settings: how long tokens are valid, and whose signatures are accepted as well.
    """

    def __init__(self, secret_key: str, settings: AuthSettings) -> None:
        self._keys = [secret_key, *settings.accepted_keys()]
        self.access_ttl = settings.access_ttl
        # Nothing renews a cookie's token: it holds as long as its session may.
        self._ttl: dict[TokenKind, int] = {
            "access": settings.access_ttl,
            "page": settings.session_ttl,
        }
        self._verified = lru_cache(maxsize=REMEMBERED_TOKENS)(self._verify)

    def sign(self, user_id: int, session_id: UUID, kind: TokenKind = "access") -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "typ": kind,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "exp": now + timedelta(seconds=self._ttl[kind]),
        }
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def read(self, token: str, kind: TokenKind = "access") -> AccessToken:
        """What `token` says.

        Its signature is verified once; that it has not expired, each time.

        Raises:
            UnauthorizedException: for any fault whatever, being of another kind included; which
                one is nobody's business.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise UnauthorizedException("Invalid token")
        try:
            read, expires = self._verified(token)
        except Exception as error:  # jose raises far more than JWTError on malformed input
            raise UnauthorizedException("Invalid token") from error
        if expires <= time.time() or read.kind != kind:
            raise UnauthorizedException("Invalid token")
        return read

    def _verify(self, token: str) -> tuple[AccessToken, float]:
        """What it says, and when it expires (Unix time)."""
        claims = jwt.decode(
            token,
            self._keys,
            algorithms=[_ALGORITHM],
            audience=_ISSUER,
            issuer=_ISSUER,
            options={f"require_{claim}": True for claim in _REQUIRED},
        )
        if claims["typ"] not in self._ttl:
            raise ValueError("no kind of token that we sign")
        read = AccessToken(int(claims["sub"]), UUID(claims["sid"]), claims["typ"])
        return read, float(claims["exp"])


def new_refresh_token(session_id: UUID) -> str:
    """`<session id>.<secret>`, the secret of 256 random bits."""
    return f"{session_id.hex}.{secrets.token_urlsafe(32)}"


def session_of(refresh_token: str) -> UUID:
    """The session that a refresh token names; whether it is that session's, the hash tells.

    Raises:
        UnauthorizedException: it is not of the form.
    """
    session_id, dot, _ = refresh_token.partition(".")
    if not dot or len(refresh_token) > MAX_TOKEN_LENGTH or len(session_id) != 32:
        raise UnauthorizedException("Invalid refresh token")
    try:
        return UUID(hex=session_id)
    except ValueError as error:
        raise UnauthorizedException("Invalid refresh token") from error


def hash_refresh_token(refresh_token: str) -> bytes:
    """SHA-256, 32 bytes. The token is random: a slow hash would protect nothing more."""
    return sha256(refresh_token.encode()).digest()
