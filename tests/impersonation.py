"""Impersonations of the tests."""

from dataclasses import replace
from typing import Any

from tests.conftest import Person

REASON = "Support case 4711"


async def act_as(superuser: Person, user: Person, **changes: Any) -> Person:
    """The user, with the superuser's token for them."""
    body = {"reason": REASON, **changes}
    answer = await superuser.post(f"/users/{user.id}/impersonation", json=body)
    assert answer.status_code == 201, answer.text
    return replace(user, tokens=answer.json())
