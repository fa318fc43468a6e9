"""Password hashing in dedicated threads."""

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
from app.core.text.normalisation import MAX_LENGTH, normalise_password

T = TypeVar("T")

MAX_PASSWORD_LENGTH = 256
"""In characters. Longer ones are refused, not truncated; OWASP ASVS 5 V6.2.9 asks for 64."""
QUEUE_PER_WORKER = 32
"""Queue length per thread. At 50 ms a hash, the last one waits less than two seconds."""
NICENESS = 10
"""Niceness of the hashing threads; 19 would starve them beside a busy event loop."""

# argon2id with OWASP's parameters for 19 MiB; bcrypt only to verify imported hashes.
_CONTEXT = CryptContext(
    schemes=["argon2", "bcrypt"],
    deprecated="auto",
    argon2__type="ID",
    argon2__memory_cost=19_456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)


class PasswordHasher:
    """argon2id hashing in dedicated threads, one per core, with a bounded queue.

    The default executor would be shared with all other work in threads, and without a bound a burst
    of logins would use 19 MiB each and delay all requests.

    Attributes:
        workers: number of threads.
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
        """Number of hashes that run or wait."""
        return len(self._pending)

    async def hash(self, password: str) -> str:
        """Hash a password; a PHC string of about 100 characters.

        Raises:
            ServiceUnavailableException: the queue is full.
        """
        return await self._run(_hash, password)

    async def hash_all(self, passwords: Sequence[str]) -> list[str]:
        """Hash many passwords in parallel; the hashes in the same order.

        In further threads, so that the kernel shares the cores between lists and logins: in one
        queue, logins would wait for a whole list, or a list for free slots. Only a few passwords of
        a list are submitted at a time: lists take turns, and cancelling a request stops its
        hashing.
        """
        places = asyncio.Semaphore(self._at_once)

        async def one(password: str) -> str:
            async with places:
                future = self._list_pool.submit(_hash, password)
                return await asyncio.wrap_future(future)

        return await asyncio.gather(*map(one, passwords))

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Verify a password against a hash.

        Its NFC form is tried, and then the form that was entered, if it differs: the hash may be
        older than normalisation. The number of attempts depends only on the password. If `hashed`
        is None, or the password too long, a dummy hash is verified, to take the same time.

        Returns:
            Whether the password is right, and a new hash if the parameters have changed.

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
        # Released when the hash is done: the hash of a cancelled request runs on.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, future: Future[Any]) -> None:
        """Callback, run in the hashing thread."""
        self._pending.discard(future)
        self._places.release()

    def close(self) -> None:
        """Finish the running hashes and drop the waiting ones."""
        for pool in (self._pool, self._list_pool):
            pool.shutdown(wait=True, cancel_futures=True)


def _give_way() -> None:
    """Lower the priority of the current thread below the event loop's: Linux schedules by thread.

    Without it, reads dropped to a fifth of their throughput during logins on two cores.
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
        # An unknown scheme, or a password that the scheme refuses, such as one of more than 72
        # bytes for bcrypt. Hash anyway: otherwise the time would reveal that the account exists.
        _CONTEXT.hash("")
        return False, None
