"""Authentication by API key."""

from fastapi import Request

from app.api.runtime import runtime_of
from app.core.exceptions import TokenRevokedException
from app.core.limiter import by_address, parsed
from app.core.security.api_keys import read_api_key
from app.schemas.access.session import Principal
from app.services.api_keys.authenticator import NOT_VALID

SCOPE = "api-key"


async def principal_of_key(request: Request, token: str) -> Principal:
    """The principal of an API key.

    A guess costs a query, and so an address has few of them: keys that are not valid are counted,
    and beyond the limit only those are looked up that the cache has.

    Raises:
        UnauthorizedException: the key is malformed or not valid.
        RateLimitExceeded: too many keys from this address were not valid.
    """
    parts = runtime_of(request)
    limiter, keys, key = parts.settings.limiter, parts.keys, read_api_key(token)
    if cached := await keys.cached(key):
        return cached
    rate, address = parsed(limiter.key_address), by_address(request)
    if limiter.enabled:
        await parts.hits.refuse_if_used_up(rate, SCOPE, address)
    found = await keys.look_up(key)
    if found is not None:
        return found
    if limiter.enabled:
        await parts.hits.hit_or_raise(rate, SCOPE, address)
    raise TokenRevokedException(NOT_VALID)
