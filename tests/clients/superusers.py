"""Schemathesis' hooks: whom it calls as.

It logs people out, renames them and changes their passwords, itself included, so that every few
seconds it is somebody new, whom only the database made a superuser.
"""

import asyncio
import os
import time
from typing import Any

import asyncpg
import httpx
import schemathesis

URL = os.environ["SITE_URL"]
DATABASE = os.environ["SITE_DATABASE"]
PASSWORD = "correct horse battery staple"


async def promote(email: str) -> None:
    connection = await asyncpg.connect(DATABASE)
    try:
        await connection.execute("UPDATE users SET is_superuser = true WHERE email = $1", email)
    finally:
        await connection.close()


@schemathesis.auth(refresh_interval=2)
class Superuser:
    """Signs up, is promoted, and logs in."""

    def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:
        account = {"email": f"tester{time.time_ns()}@example.com", "password": PASSWORD}
        httpx.post(f"{URL}/api/v1/users", json=account, timeout=30).raise_for_status()
        asyncio.run(promote(account["email"]))
        login = httpx.post(f"{URL}/api/v1/auth/login", json=account, timeout=30)
        token: str = login.raise_for_status().json()["access_token"]
        return token

    def set(
        self, case: schemathesis.Case[Any], data: Any, context: schemathesis.AuthContext
    ) -> None:
        case.headers["Authorization"] = f"Bearer {data}"
