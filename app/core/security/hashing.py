"""Passwords, hashed in threads of their own."""

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from passlib.context import CryptContext

from app.core.exceptions import ServiceUnavailableException
from app.core.normalisation import MAX_LENGTH, normalise_password

T = TypeVar("T")

MAX_PASSWORD_LENGTH = 256
"""Characters. Longer ones are refused, never cut: OWASP ASVS 5 V6.2.9 asks for 64 at least."""
QUEUE_PER_WORKER = 32
"""Hashes that may wait for each core. At 50 ms each the last waits under two seconds."""
NICENESS = 10
"""Of the hashing threads; 19 would leave them next to nothing beside a busy event loop."""

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
        return await self._run(_hash, password)

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
                future = self._list_pool.submit(_hash, password)
                return await asyncio.wrap_future(future)

        return await asyncio.gather(*map(one, passwords))

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Whether `password` is the one behind `hashed`, and a new hash where parameters changed.

        Its NFC form is verified, and where it was typed in another, that one as well: it may have
        been hashed so before passwords were normalised. How often it is hashed depends on the
        password alone. With None for `hashed`, or a password longer than any that was accepted,
        it verifies against a hash of nothing, so that the answer takes as long and is no.

        Raises:
            ServiceUnavailableException: the queue is full.
        """
        subject = password if len(password) <= MAX_LENGTH else ""
        is_possible = hashed is not None and subject == password
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


def _hash(password: str) -> str:
    return _CONTEXT.hash(normalise_password(password))


def _verify(password: str, hashed: str) -> tuple[bool, str | None]:
    normal = normalise_password(password)
    is_right, renewed = _verify_spelling(normal, hashed)
    if is_right or password == normal:
        return is_right, renewed
    is_right, _ = _verify_spelling(password, hashed)
    return is_right, _CONTEXT.hash(normal) if is_right else None


def _verify_spelling(password: str, hashed: str) -> tuple[bool, str | None]:
    try:
        return _CONTEXT.verify_and_update(password, hashed)
    except ValueError:
        # A hash of no scheme we know, or a password that its scheme cannot take, such as one
        # of more than 72 bytes for bcrypt. Without a hash here, the time would tell that the
        # account exists.
        _CONTEXT.hash("")
        return False, None
