"""The search for the suite's own secrets in the audit trail."""

import re
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_STORED = text(
    "SELECT concat_ws(' ', action, actor, actor_name, target, request_id, before, after)"
    " FROM audit_events"
)
_PASSWORDS = "horse battery staple", "a secret that is only used in the tests"
_FORMS = re.compile(
    r"\$(argon2|2[aby]\$)|eyJ[\w-]{8,}\.|"  # hashes, and JWTs
    # Refresh tokens and links: random, in base64url.
    r"(?<![\w@.-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{40,}(?![\w@.-])"
)


async def secrets_in_the_audit_trail(engine: AsyncEngine) -> list[Any]:
    """What looks like a secret in the events that the test has caused."""
    async with engine.connect() as connection:
        stored = await connection.scalars(_STORED)
        return [
            event
            for event in stored
            if _FORMS.search(event) or any(secret in event for secret in _PASSWORDS)
        ]
