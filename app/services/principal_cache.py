"""Who is behind a token, remembered in Redis for a minute, and forgotten at once (decision 6)."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from math import ceil
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.core.exceptions import UnauthorizedException
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.security import AccessToken
from app.core.telemetry.metrics import CACHE_LOOKUPS
from app.schemas import Principal, UserSchema

TTL = 60
"""Seconds an entry lives. Where a revocation could not reach Redis, it is how long a process that
can may still let somebody in."""
TOMBSTONE_TTL = 60
"""Seconds at least in which nothing is filled in after a change: whoever read the database before
it has given up by then, since the default deadline of a request is half of that."""

_TOMBSTONE = b"-"
_hit = CACHE_LOOKUPS.labels("principal", "hit").inc
_miss = CACHE_LOOKUPS.labels("principal", "miss").inc


class PrincipalCache:
    """Two keys a principal: its session, and its user's profile, which sessions share.

    Filling sets a key only where there is none, and a revocation leaves a tombstone. So a slow
    reader, who read the database before a revocation and fills after it, changes nothing.

    Args:
        breaker: to the cache's Redis; None where there is none, and nothing is remembered.
        prefix: first part of every key.
        deadline: seconds that a request may take.
    """

    def __init__(
        self, breaker: CircuitBreaker | None, prefix: str, deadline: float = TOMBSTONE_TTL / 2
    ) -> None:
        self._breaker = breaker
        self._prefix = prefix
        self._tombstone_ttl = max(TOMBSTONE_TTL, ceil(2 * deadline))

    def _session(self, session_id: UUID) -> str:
        return f"{self._prefix}:session:{session_id.hex}"

    def _user(self, user_id: int) -> str:
        return f"{self._prefix}:principal:{user_id}"

    async def get(self, token: AccessToken) -> Principal | None:
        """Whoever is behind `token`; None where only the database can tell.

        Raises:
            UnauthorizedException: its session is known to have ended.
        """
        if self._breaker is None:
            return None
        redis = self._breaker.redis
        keys = self._session(token.session_id), self._user(token.user_id)
        session: Any
        user: Any
        try:
            session, user = await self._breaker.call(lambda: redis.mget(keys))
        except RedisUnavailable:
            return None
        principal = _remembered(token, session, user)
        (_miss if principal is None else _hit)()
        return principal

    async def fill(self, principal: Principal, lifetime: float) -> None:
        """Remember what the database said, unless something was revoked meanwhile.

        Args:
            principal: as read.
            lifetime: seconds until its session expires.
        """
        if self._breaker is None or lifetime < 1:
            return
        ttl = min(TTL, int(lifetime))
        pipeline = self._breaker.redis.pipeline(transaction=False)
        owner = _owner(principal.user_id)
        pipeline.set(self._session(principal.session_id), owner, ex=ttl, nx=True)
        pipeline.set(
            self._user(principal.user_id), principal.user.model_dump_json(), ex=TTL, nx=True
        )
        await self._try(pipeline.execute)

    async def end_sessions(self, session_ids: Iterable[UUID]) -> None:
        """Let nobody in by these sessions any more. Called after the commit that ended them."""
        await self._bury(map(self._session, session_ids))

    async def forget_user(self, user_id: int) -> None:
        """Read the user anew from now on. Called after the commit that changed them."""
        await self._bury([self._user(user_id)])

    async def _bury(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        if self._breaker is None or not keys:
            return
        pipeline = self._breaker.redis.pipeline(transaction=False)
        # Deleted first: a Redis that is out of memory takes no tombstone, but still deletes.
        pipeline.unlink(*keys)
        for key in keys:
            pipeline.set(key, _TOMBSTONE, ex=self._tombstone_ttl)
        await self._try(pipeline.execute)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        assert self._breaker is not None  # noqa: S101  # asked by every caller; tells mypy
        with suppress(RedisUnavailable):
            await self._breaker.call(work)


def _owner(user_id: int) -> bytes:
    """What a live session's key holds: whose it is, so that no token can pair it with another."""
    return str(user_id).encode()


def _remembered(token: AccessToken, session: bytes | None, user: bytes | None) -> Principal | None:
    """Who is behind `token` by what its two keys hold; None where they do not tell."""
    if session == _TOMBSTONE:
        raise UnauthorizedException("Invalid token")
    if session != _owner(token.user_id) or user is None or user == _TOMBSTONE:
        return None
    try:
        profile = UserSchema.model_validate_json(user)
    except ValidationError:  # written by another version of this code
        return None
    if profile.id != token.user_id or not profile.is_active:  # written by somebody else
        return None
    return Principal(session_id=token.session_id, user=profile)
