"""Dependencies for requests that may be repeated, with an `Idempotency-Key`."""

from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request

from app.api.deps.auth import Caller, CurrentPrincipal
from app.api.runtime import runtime_of
from app.core.limiter import by_address
from app.services.idempotency import ANONYMOUS, IdempotentRequest

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="your own name for this request, new for each: to repeat it is safe then",
        pattern=r"^[\x21-\x7e]{1,128}$",
        examples=["6f1c2a52-5e0f-4e06-9d3c-0f6a4a4d1c55"],
    ),
]


async def get_idempotent_request(
    request: Request, caller: CurrentPrincipal, key: Key = None
) -> IdempotentRequest | None:
    """The request by its `Idempotency-Key`; None where no key was sent."""
    return None if key is None else await _idempotent(request, caller.user_id, key)


async def get_sign_up_request(
    request: Request, caller: Caller, key: Key = None
) -> IdempotentRequest | None:
    """The sign-up by its `Idempotency-Key`; None where no key was sent.

    Keys of anonymous callers belong to a network, as rate limits see it: a stranger elsewhere who
    learns a key neither gets its answer nor finds it used.
    """
    if key is None:
        return None
    if caller is not None:
        return await _idempotent(request, caller.user_id, key)
    named = sha256(f"{by_address(request)} {key}".encode()).hexdigest()
    return await _idempotent(request, ANONYMOUS, named)


async def _idempotent(request: Request, user_id: int, key: str) -> IdempotentRequest:
    fingerprints = runtime_of(request).fingerprints.of(await request.body())
    return IdempotentRequest(user_id, request.scope["endpoint"].__name__, key, fingerprints)


IdempotencyKey = Annotated[IdempotentRequest | None, Depends(get_idempotent_request)]
SignUpKey = Annotated[IdempotentRequest | None, Depends(get_sign_up_request)]
