"""`BreachedPasswords`: looks new passwords up in a list of those that leaked elsewhere."""

import asyncio
import logging
import re
from hashlib import sha1
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from app.core.telemetry.metrics import BREACH_CHECKS
from app.core.text.normalisation import normalise_password

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger("app.security")

TIMEOUT = 1.0
"""Seconds for a whole answer."""
MAX_ANSWER = 524_288
"""Bytes. A range has about two thousand rows of 40 bytes."""
FAILURES_TO_OPEN = 3
"""Failures in a row after which nothing is asked for `PAUSE` seconds."""
PAUSE = 30.0
MAX_CONNECTIONS = 20
_ROW = re.compile(rb"([0-9A-Fa-f]{35}):([0-9]{1,12})")


class BreachCheckFailed(Exception):
    """The answer cannot be used."""


class BreachedPasswords:
    """Client of a range API: it gets the first five hexadecimal digits of a password's SHA-1, which
    some thousand passwords share, and answers with the other digits of all that it knows.

    Where it does not answer, the password counts as not breached: nobody is kept from setting one.

    Args:
        url: of the ranges, without the digits; None switches the check off, and loads no library.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url and url.rstrip("/")
        self._client = None if url is None else _new_client()
        self._failures = 0
        self._closed_until = 0.0

    async def contain(self, password: str) -> bool:
        """Whether the password is known from a breach. Call it without a database connection."""
        if self._client is None:
            return False
        if monotonic() < self._closed_until:
            BREACH_CHECKS.labels("skipped").inc()
            return False
        data = normalise_password(password).encode()
        digest = sha1(data, usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._read(self._client, digest[:5])
            is_known = digest[5:].encode() in _suffixes(answer)
        except Exception as error:  # noqa: BLE001  # whatever fails: the user goes on
            self._fail(error)
            return False
        self._failures = 0
        BREACH_CHECKS.labels("breached" if is_known else "passed").inc()
        return is_known

    async def _read(self, client: "httpx.AsyncClient", digits: str) -> bytes:
        """The answer, as it comes: decompressing could make much of little."""
        async with client.stream("GET", f"{self._url}/{digits}") as response:
            if response.status_code != 200:
                raise BreachCheckFailed(f"status {response.status_code}")
            answer = bytearray()
            async for part in response.aiter_raw():
                answer += part
                if len(answer) > MAX_ANSWER:
                    raise BreachCheckFailed("the answer is too long")
        return bytes(answer)

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._failures, self._closed_until = 0, monotonic() + PAUSE
        BREACH_CHECKS.labels("failed").inc()
        reason = str(error) if isinstance(error, BreachCheckFailed) else type(error).__name__
        log.warning("breach_check_failed", reason=reason)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _new_client() -> "httpx.AsyncClient":
    # 100 ms and some megabytes, which a service without the setting does not pay.
    library = import_module("httpx")
    for name in ("httpx", "httpcore"):  # they log addresses, whose last part is of a password
        logging.getLogger(name).setLevel(logging.WARNING)
    client: httpx.AsyncClient = library.AsyncClient(
        # Padding hides by the length which range was asked for.
        headers={"Add-Padding": "true", "Accept-Encoding": "identity"},
        timeout=TIMEOUT,
        limits=library.Limits(max_connections=MAX_CONNECTIONS),
    )
    return client


def _suffixes(answer: bytes) -> set[bytes]:
    """The rows of an answer, without those of the padding, whose count is 0."""
    rows = [_ROW.fullmatch(line.strip()) for line in answer.splitlines()]
    found = {row[1].upper() for row in rows if row is not None and int(row[2])}
    if None in rows or not rows:
        raise BreachCheckFailed("the answer is no list of hashes")
    return found
