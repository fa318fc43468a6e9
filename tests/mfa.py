"""Authenticator apps of the tests."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import pyotp
from sqlalchemy import text

from app.runtime import Runtime
from tests.conftest import PASSWORD, Person

MFA = "/users/me/mfa"


def code_at(secret: str, steps: int = 0) -> str:
    """The code that an app shows, some steps of 30 s from now."""
    return pyotp.TOTP(secret).at(time.time(), counter_offset=steps)


@dataclass(frozen=True)
class App:
    """An authenticator app that is set up."""

    secret: str
    recovery_codes: list[str]

    @property
    def code(self) -> str:
        """One that was not used: that of this step confirmed the app."""
        return code_at(self.secret, 1)


async def set_up(person: Person) -> App:
    """Set up an app, and have it count."""
    begun = await person.post(f"{MFA}/totp")
    assert begun.status_code == 201, begun.text
    secret = begun.json()["secret"]
    done = await person.post(f"{MFA}/totp/confirmation", json={"code": code_at(secret)})
    assert done.status_code == 200, done.text
    return App(secret, done.json()["recovery_codes"])


async def first_step(person: Person, **options: Any) -> httpx.Response:
    credentials = {"email": person.email, "password": PASSWORD}
    return await person.client.post("/api/v1/auth/login", json=credentials, **options)


async def mfa_token(person: Person, **options: Any) -> str:
    response = await first_step(person, **options)
    assert response.status_code == 200, response.text
    return str(response.json()["mfa_token"])


async def second_step(
    client: httpx.AsyncClient, token: str, code: str, **options: Any
) -> httpx.Response:
    body = {"mfa_token": token, "code": code}
    return await client.post("/api/v1/auth/mfa", json=body, **options)


async def execute(runtime: Runtime, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with runtime.engine.begin() as connection:
        result = await connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def make_stale(runtime: Runtime) -> None:
    """Let all logins and confirmations be eleven minutes ago."""
    ago = "now() - interval '11 minutes'"
    await execute(runtime, f"UPDATE sessions SET created_at = {ago}, confirmed_at = {ago}")
