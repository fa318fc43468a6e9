"""Who is behind a token, and who anybody is: remembered in Redis, and forgotten at once where it
changes (decision 6)."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from math import ceil
from uuid import UUID

from pydantic import ValidationError

from app.core.exceptions import UnauthorizedException
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.security import AccessToken
from app.core.telemetry.metrics import CACHE_LOOKUPS
from app.schemas.session import Principal
from app.schemas.user import UserSchema
from app.services.tombstones import TOMBSTONE, Tombstones

TTL = 60
"""Seconds an entry lives. Where a revocation could not reach Redis, it is how long a process that
can may still let somebody in."""
PROFILE_TTL = 300
"""Seconds that a profile is cached for superusers who read it."""
TOMBSTONE_TTL = 60
"""Seconds at least in which nothing is filled in after a change: whoever read the database before
it has given up by then, since the default deadline of a request is half of that."""

Concerns = Callable[[Principal], bool]

_hit = CACHE_LOOKUPS.labels("principal", "hit").inc
_miss = CACHE_LOOKUPS.labels("principal", "miss").inc
_profile_hit = CACHE_LOOKUPS.labels("profile", "hit").inc
_profile_miss = CACHE_LOOKUPS.labels("profile", "miss").inc


class PrincipalCache:
    """Two keys a principal: its session, and its user's profile, which sessions share. A third
    keeps the profile for those who read it, longer than anybody may be let in by it.

    Filling sets a key only where there is none, and a revocation leaves a tombstone. So a slow
    reader, who read the database before a revocation and fills after it, changes nothing. A
    tombstone that Redis did not take is written when it is back (`Tombstones`).

    Args:
        breaker: to the cache's Redis; None where there is none, and nothing is remembered.
        prefix: first part of every key.
        deadline: seconds that a request may take.

    Attributes:
        on_forgetting: called with each end or change that this process knows of, as a test of
            whom it concerns.
    """

    def __init__(
        self,
        breaker: CircuitBreaker | None,
        prefix: str,
        deadline: float = TOMBSTONE_TTL / 2,
    ) -> None:
        self._breaker = breaker
        self._prefix = prefix
        self._tombstone_ttl = max(TOMBSTONE_TTL, ceil(2 * deadline))
        self.on_forgetting: list[Callable[[Concerns], None]] = []
        self._tombstones: Tombstones | None = None
        if breaker is not None:
            lifetime = self._tombstone_ttl + max(TTL, PROFILE_TTL)
            self._tombstones = Tombstones(breaker, lifetime)

    def _session(self, session_id: UUID) -> str:
        return f"{self._prefix}:session:{session_id.hex}"

    def _user(self, user_id: int) -> str:
        return f"{self._prefix}:principal:{user_id}"

    def _profile(self, user_id: int) -> str:
        return f"{self._prefix}:profile:{user_id}"

    async def get(self, token: AccessToken) -> Principal | None:
        """Whoever is behind `token`; None where only the database can tell.

        Raises:
            UnauthorizedException: its session is known to have ended.
        """
        if self._breaker is None:
            return None
        keys = self._session(token.session_id), self._user(token.user_id)
        if self._is_unwritten(keys[0]):
            raise UnauthorizedException("Invalid token")
        if self._is_unwritten(keys[1]):
            return None
        try:
            session, user = await self._breaker.get(*keys)
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

    async def profile(self, user_id: int) -> UserSchema | None:
        """A user as last read; None where only the database can tell.

        It asks nobody whether they may see it: the caller has done so.
        """
        key = self._profile(user_id)
        if self._breaker is None or self._is_unwritten(key):
            return None
        try:
            [kept] = await self._breaker.get(key)
        except RedisUnavailable:
            return None
        profile = _profile(kept)
        (_profile_miss if profile is None else _profile_hit)()
        return profile

    async def fill_profile(self, user: UserSchema) -> None:
        """Remember a user as read, unless they were changed meanwhile."""
        if self._breaker is None:
            return
        redis, key, body = self._breaker.redis, self._profile(user.id), user.model_dump_json()
        await self._try(lambda: redis.set(key, body, ex=PROFILE_TTL, nx=True))

    async def end_sessions(self, session_ids: Sequence[UUID]) -> None:
        """Let nobody in by a few sessions any more. Called after the commit that ended them."""
        self._tell(lambda principal: principal.session_id in session_ids)
        await self._bury(dict.fromkeys(map(self._session, session_ids), self._tombstone_ttl))

    async def forget_user(self, user_id: int) -> None:
        """Read the user anew from now on. Called after the commit that changed them, or that ended
        their sessions, however many: without the user's entry no session's lets anybody in."""
        self._tell(lambda principal: principal.user_id == user_id)
        # The first outlives every session's entry, also that of a reader who fills it late.
        ttls = {self._user(user_id): self._tombstone_ttl + TTL}
        await self._bury({**ttls, self._profile(user_id): self._tombstone_ttl})

    async def close(self) -> None:
        """Write what Redis has missed, if it is back by now."""
        if self._tombstones is not None:
            await self._tombstones.close()

    def _tell(self, concerns: Concerns) -> None:
        for forget in self.on_forgetting:
            forget(concerns)

    async def _bury(self, ttls: dict[str, int]) -> None:
        if self._tombstones is not None and ttls:
            await self._tombstones.bury(ttls)

    def _is_unwritten(self, key: str) -> bool:
        return self._tombstones is not None and key in self._tombstones

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        assert self._breaker is not None  # noqa: S101  # asked by every caller; tells mypy
        with suppress(RedisUnavailable):
            await self._breaker.call(work)


def _owner(user_id: int) -> bytes:
    """What a live session's key holds: whose it is, so that no token can pair it with another."""
    return str(user_id).encode()


@lru_cache(maxsize=1024)
def _profile(kept: bytes | None) -> UserSchema | None:
    """The user that an entry holds. An entry that is met again needs no second look."""
    if kept is None or kept == TOMBSTONE:
        return None
    try:
        return UserSchema.model_validate_json(kept)
    except ValidationError:  # written by another version of this code
        return None


def _remembered(token: AccessToken, session: bytes | None, user: bytes | None) -> Principal | None:
    """Who is behind `token` by what its two keys hold; None where they do not tell."""
    if session == TOMBSTONE:
        raise UnauthorizedException("Invalid token")
    if session != _owner(token.user_id):
        return None
    profile = _profile(user)
    if profile is None or profile.id != token.user_id or not profile.is_active:
        return None  # written by somebody else
    return Principal(session_id=token.session_id, user=profile)
