"""The search for the suite's own secrets in the audit trail, at the end of each test."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_STORED = text(
    "SELECT concat_ws(' ', action, actor, actor_name, target, address, request_id, before, after)"
    " FROM audit_events"
)
_PASSWORDS = "horse battery staple", "a secret that is only used in the tests"
_FORMS = re.compile(
    r"\$(argon2|2[aby]\$)|eyJ[\w-]{8,}\.|bapi_|"  # hashes, JWTs, API keys
    r"\b[A-Z2-7]{32}\b|\b([A-Z2-7]{4}-){3}[A-Z2-7]{4}\b|"  # of authenticator apps; recovery codes
    # Refresh tokens and links: random, in base64url.
    r"(?<![\w@.-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{40,}(?![\w@.-])"
)
_NAMED = {
    *("password", "current_password", "new_password", "hashed_password"),
    *("access_token", "refresh_token", "mfa_token", "token", "secret", "recovery_codes"),
}
"""Fields of requests and responses whose values are secrets."""
SHORTEST = 12
"""Characters: what is shorter may be part of anything."""

SEEN: set[str] = set()
"""The secrets that the clients of the current test have sent and got."""


class NotingTransport(httpx.ASGITransport):
    """Remembers the secrets of requests that were accepted, and of their responses. What was
    refused may be anything, such as a username for a password."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if response.is_success or response.status_code == 303:
            _note(request, response)
        return response


def _note(request: httpx.Request, response: httpx.Response) -> None:
    with suppress(httpx.RequestNotRead, UnicodeDecodeError):
        if request.headers.get("Content-Type") == "application/x-www-form-urlencoded":
            SEEN.update(_secrets_in(dict(parse_qsl(request.content.decode()))))
        else:
            _note_json(request.content)
    if response.headers.get("Content-Type") == "application/json":
        body = b"".join(response.stream._body)  # type: ignore[union-attr]  # all of it is there
        with suppress(httpx.DecodingError):
            copy = httpx.Response(response.status_code, headers=response.headers, content=body)
            _note_json(copy.content)


def _note_json(body: bytes) -> None:
    with suppress(ValueError, RecursionError):
        SEEN.update(_secrets_in(json.loads(body)))


def _secrets_in(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    if isinstance(value, str) and is_secret and len(value) >= SHORTEST:
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _secrets_in(part, is_secret=name in _NAMED)
    elif isinstance(value, list):
        for part in value:
            yield from _secrets_in(part, is_secret=is_secret)


async def secrets_in_the_audit_trail(engine: AsyncEngine) -> list[Any]:
    """What is a secret, or looks like one, in the events that the test has caused."""
    async with engine.connect() as connection:
        stored = await connection.scalars(_STORED)
        secrets = {*_PASSWORDS, *SEEN}
        return [
            event
            for event in stored
            if _FORMS.search(event) or any(secret in event for secret in secrets)
        ]
