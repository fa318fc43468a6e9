"""`KeyAuthenticator`: finds the principal of an API key, in the cache or the database."""

from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from cachetools import TTLCache
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.exceptions import TokenRevokedException
from app.core.permissions import known
from app.core.security.api_keys import ApiKey
from app.repositories.access.api_key import ApiKeyRepository
from app.repositories.user.activity import UserActivityRepository, is_new_day
from app.schemas.access.session import ApiKeyGrant, Principal
from app.schemas.user import UserSchema
from app.services.base import BaseService
from app.services.principals import PrincipalCache, principal_of

USED_EVERY = timedelta(minutes=1)
"""Precision of a key's `last_used_at`: a write for each request would cost too much."""
MAX_UNKNOWN = 4096
UNKNOWN_TTL = 10
"""Seconds for which a process refuses a key that was not valid without a query: a program that goes
on with an old key costs few, and is told from one that guesses."""
NOT_VALID = "The API key was revoked or has expired, or its owner is inactive"


class KeyAuthenticator:
    """Finds the principal of an API key. It lives as long as the process, and opens a database
    session only where the cache has no principal."""

    def __init__(
        self, session_maker: async_sessionmaker[AsyncSession], principals: PrincipalCache
    ) -> None:
        self._session_maker = session_maker
        self._principals = principals
        self._unknown: TTLCache[bytes, bool] = TTLCache(MAX_UNKNOWN, UNKNOWN_TTL)

    async def cached(self, key: ApiKey) -> Principal | None:
        """The principal, where no query is needed; None if the database has to be asked.

        Raises:
            TokenRevokedException: the key was revoked, or was not valid just now.
        """
        if key.hash in self._unknown:
            raise TokenRevokedException(NOT_VALID)
        return await self._principals.get_by_key(key)

    async def look_up(self, key: ApiKey) -> Principal | None:
        """The principal, by the database; None where the key is unknown or has expired, or its
        owner is inactive."""
        async with self._session_maker() as db:
            principal = await _KeyLookup(db, self._principals).principal(key)
        if principal is None:
            self._unknown[key.hash] = True
        return principal


class _KeyLookup(BaseService):
    """Looks one key up, in a database session of its own."""

    def __init__(self, db: AsyncSession, principals: PrincipalCache) -> None:
        super().__init__(db)
        self.keys = ApiKeyRepository(db)
        self.activity = UserActivityRepository(db)
        self.principals = principals

    async def principal(self, presented: ApiKey) -> Principal | None:
        found = await self.keys.live_with_user(presented.id)
        if found is None or not compare_digest(found.key.secret_hash, presented.hash):
            return None
        key, user = found.key, UserSchema.model_validate(found.key.user)
        roles = {int(role_id): known(names) for role_id, names in found.roles.items()}
        grant = ApiKeyGrant(id=key.id, name=key.name, permissions=known(key.permissions))
        principal = principal_of(key.id, user, roles, grant)
        now, lifetime = datetime.now(UTC), key.expires_at - datetime.now(UTC)
        if key.last_used_at is None or key.last_used_at < now - USED_EVERY:
            async with self.transaction():
                if is_new_day(key.last_used_at):
                    await self.activity.record(user.id)
                await self.keys.touch(key.id, USED_EVERY)
        await self.principals.fill_by_key(principal, presented, lifetime.total_seconds(), roles)
        return principal
