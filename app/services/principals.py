"""Cache of principals and user profiles in Redis, with immediate revocation (ADR 3)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hmac import compare_digest
from math import ceil
from typing import TypeVar
from uuid import UUID

from cachetools import LRUCache
from pydantic import BaseModel, ValidationError
from redis.asyncio.client import Pipeline

from app.core.exceptions import TokenRevokedException
from app.core.permissions import NONE, Permission, known
from app.core.redis import CircuitBreaker, RedisUnavailable
from app.core.security import AccessToken, Actor
from app.core.security.api_keys import ApiKey
from app.core.telemetry.metrics import CACHE_LOOKUPS
from app.schemas.access.session import ApiKeyGrant, Principal
from app.schemas.user import UserSchema
from app.services.tombstones import TOMBSTONE, Tombstones

TTL = 60
"""Lifetime of an entry in seconds. If a revocation cannot reach Redis, another process that can may
still accept the session for that long."""
PROFILE_TTL = 300
"""Lifetime of a profile, cached for superusers who read it, in seconds."""
TOMBSTONE_TTL = 60
"""Minimum lifetime of a tombstone in seconds. Requests that read the database before the change
have ended by then, since their default deadline is half of it."""

MAX_OWNERS = 4096
"""API keys whose owner a process knows, about 1 MB."""

PrincipalPredicate = Callable[[Principal], bool]
Schema = TypeVar("Schema", bound=BaseModel)
NO_ROLES: Mapping[int, frozenset[Permission]] = {}

_hit = CACHE_LOOKUPS.labels("principal", "hit").inc
_miss = CACHE_LOOKUPS.labels("principal", "miss").inc
_profile_hit = CACHE_LOOKUPS.labels("profile", "hit").inc
_profile_miss = CACHE_LOOKUPS.labels("profile", "miss").inc


class CachedUser(BaseModel, frozen=True):
    """A user's entry: the profile, and the ids of the user's roles."""

    user: UserSchema
    roles: tuple[int, ...]


class CachedKey(BaseModel, frozen=True):
    """An API key's entry: its owner, the SHA-256 of the key in hexadecimal, and what it allows."""

    user_id: int
    hash: str
    grant: ApiKeyGrant


class PrincipalCache:
    """Caches a principal in two keys: its session, and its user, which the user's sessions share. A
    third key caches the profile for readers, for longer than it may be used for authentication.
    Each role has a key of its own, so that a change of it is one tombstone, however many have it.

    Filling sets a key only if it does not exist, and a revocation leaves a tombstone. So a slow
    request that read the database before a revocation and fills after it has no effect. A tombstone
    that Redis did not store is written when Redis is available again (`Tombstones`).

    Args:
        breaker: to the cache's Redis; None disables the cache.
        prefix: of every key.
        deadline: of a request, in seconds.

    Attributes:
        on_forgetting: called for each revocation or change in this process, with a predicate for
            the principals that it concerns.
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
        self.on_forgetting: list[Callable[[PrincipalPredicate], None]] = []
        # Both entries of a key are read at once where its owner is known, who never changes.
        self._owners: LRUCache[UUID, int] = LRUCache(MAX_OWNERS)
        self._tombstones: Tombstones | None = None
        if breaker is not None:
            lifetime = self._tombstone_ttl + max(TTL, PROFILE_TTL)
            self._tombstones = Tombstones(breaker, lifetime)

    def _session(self, session_id: UUID) -> str:
        return f"{self._prefix}:session:{session_id.hex}"

    def _key(self, key_id: UUID) -> str:
        return f"{self._prefix}:key:{key_id.hex}"

    def _user(self, user_id: int) -> str:
        return f"{self._prefix}:principal:{user_id}"

    def _role(self, role_id: int) -> str:
        return f"{self._prefix}:role:{role_id}"

    def _profile(self, user_id: int) -> str:
        return f"{self._prefix}:profile:{user_id}"

    async def get(self, token: AccessToken) -> Principal | None:
        """The cached principal of `token`; None if the database has to be asked.

        Raises:
            TokenRevokedException: its session has ended.
        """
        if self._breaker is None:
            return None
        keys = self._session(token.session_id), self._user(token.user_id)
        if self._is_unwritten(keys[0]):
            raise TokenRevokedException
        if self._is_unwritten(keys[1]):
            return None
        try:
            session, user = await self._breaker.get(*keys)
            cached = _cached(token, session, user)
            roles = None if cached is None else await self._roles_of(cached)
        except RedisUnavailable:
            return None
        if cached is None or roles is None:
            _miss()
            return None
        _hit()
        return principal_of(token.session_id, cached.user, roles)

    async def _roles_of(self, cached: CachedUser) -> Mapping[int, frozenset[Permission]] | None:
        """The permissions of each of a user's roles; None if the database has to be asked.

        Raises:
            RedisUnavailable: the cache cannot be read.
        """
        if not cached.roles:
            return {}
        keys = [self._role(role_id) for role_id in cached.roles]
        if self._breaker is None or any(map(self._is_unwritten, keys)):
            return None
        entries = await self._breaker.get(*keys)
        roles = {
            role_id: permissions
            for role_id, entry in zip(cached.roles, entries, strict=True)
            if (permissions := _permissions(entry)) is not None
        }
        return roles if len(roles) == len(keys) else None

    async def get_by_key(self, key: ApiKey) -> Principal | None:
        """The cached principal of an API key; None if the database has to be asked.

        Raises:
            TokenRevokedException: it was revoked.
        """
        if self._breaker is None:
            return None
        entry_key, owner = self._key(key.id), self._owners.get(key.id)
        if self._is_unwritten(entry_key):
            raise TokenRevokedException("The API key was revoked")
        if owner is None or self._is_unwritten(self._user(owner)):
            return None
        try:
            entry, user = await self._breaker.get(entry_key, self._user(owner))
            cached = _of_key(key, entry, _cached_user(user))
            roles = None if cached is None else await self._roles_of(cached[1])
        except RedisUnavailable:
            return None
        if cached is None or roles is None:
            _miss()
            return None
        _hit()
        return principal_of(key.id, cached[1].user, roles, cached[0].grant)

    async def fill_by_key(
        self,
        principal: Principal,
        key: ApiKey,
        lifetime: float,
        roles: Mapping[int, frozenset[Permission]],
    ) -> None:
        """Cache the principal of an API key, unless it was revoked meanwhile."""
        self._owners[key.id] = principal.user_id
        if self._breaker is None or principal.key is None or lifetime < 1:
            return
        entry = CachedKey(user_id=principal.user_id, hash=key.hash.hex(), grant=principal.key)
        pipeline = self._breaker.redis.pipeline(transaction=False)
        ttl = min(TTL, int(lifetime))
        pipeline.set(self._key(key.id), entry.model_dump_json(), ex=ttl, nx=True)
        self._add_user(pipeline, principal.user, roles)
        await self._try(pipeline.execute)

    async def revoke_key(self, key_id: UUID) -> None:
        """Revoke a cached API key. Call after the commit that deleted it."""
        self._notify(lambda principal: principal.session_id == key_id)
        await self._invalidate({self._key(key_id): self._tombstone_ttl})

    async def fill(
        self,
        principal: Principal,
        lifetime: float,
        roles: Mapping[int, frozenset[Permission]] = NO_ROLES,
        actor: Actor | None = None,
    ) -> None:
        """Cache a principal, unless it was revoked meanwhile.

        Args:
            principal: as read from the database.
            lifetime: seconds until its session expires.
            roles: the permissions of each of its roles, by id.
            actor: the one of its token, and its session.
        """
        if self._breaker is None or lifetime < 1:
            return
        ttl = min(TTL, int(lifetime))
        pipeline = self._breaker.redis.pipeline(transaction=False)
        owner = _owner(principal.user_id, actor)
        pipeline.set(self._session(principal.session_id), owner, ex=ttl, nx=True)
        self._add_user(pipeline, principal.user, roles)
        await self._try(pipeline.execute)

    def _add_user(
        self, pipeline: Pipeline, user: UserSchema, roles: Mapping[int, frozenset[Permission]]
    ) -> None:
        entry = CachedUser(user=user, roles=tuple(roles)).model_dump_json()
        pipeline.set(self._user(user.id), entry, ex=TTL, nx=True)
        for role_id, permissions in roles.items():
            pipeline.set(self._role(role_id), " ".join(sorted(permissions)), ex=TTL, nx=True)

    async def profile(self, user_id: int) -> UserSchema | None:
        """The cached profile of a user; None if the database has to be asked.

        Does not check permissions.
        """
        key = self._profile(user_id)
        if self._breaker is None or self._is_unwritten(key):
            return None
        try:
            [value] = await self._breaker.get(key)
        except RedisUnavailable:
            return None
        profile = _profile(value)
        (_profile_miss if profile is None else _profile_hit)()
        return profile

    async def fill_profile(self, user: UserSchema) -> None:
        """Cache a user's profile, unless it was changed meanwhile."""
        if self._breaker is None:
            return
        redis, key, body = self._breaker.redis, self._profile(user.id), user.model_dump_json()
        await self._try(lambda: redis.set(key, body, ex=PROFILE_TTL, nx=True))

    async def end_sessions(self, session_ids: Sequence[UUID]) -> None:
        """Revoke cached sessions. Call after the commit that ended them."""
        self._notify(lambda principal: principal.session_id in session_ids)
        await self._invalidate(dict.fromkeys(map(self._session, session_ids), self._tombstone_ttl))

    async def forget_user(self, user_id: int) -> None:
        """Invalidate a user's entries. Call after the commit that changed the user or ended all of
        their sessions, which are not accepted without the user's entry."""
        self._notify(lambda principal: principal.user_id == user_id)
        # The first tombstone outlives every entry of a session, even one that is filled late.
        ttls = {self._user(user_id): self._tombstone_ttl + TTL}
        await self._invalidate({**ttls, self._profile(user_id): self._tombstone_ttl})

    async def forget_role(self, role_id: int) -> None:
        """Invalidate a role's entry, for all who have it. Call after the commit that changed or
        deleted it."""
        self._notify(lambda principal: role_id in principal.role_ids)
        await self._invalidate({self._role(role_id): self._tombstone_ttl})

    async def close(self) -> None:
        """Write the missed tombstones, if Redis is available."""
        if self._tombstones is not None:
            await self._tombstones.close()

    def _notify(self, matches: PrincipalPredicate) -> None:
        for forget in self.on_forgetting:
            forget(matches)

    async def _invalidate(self, ttls: dict[str, int]) -> None:
        if self._tombstones is not None and ttls:
            await self._tombstones.replace(ttls)

    def _is_unwritten(self, key: str) -> bool:
        return self._tombstones is not None and key in self._tombstones

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        assert self._breaker is not None  # noqa: S101  # checked by the callers; for mypy
        with suppress(RedisUnavailable):
            await self._breaker.call(work)


def _owner(user_id: int, actor: Actor | None) -> bytes:
    """Value of a live session's key: its user, and of an impersonation the actor, so that no token
    can pair it with others."""
    if actor is None:
        return str(user_id).encode()
    return f"{user_id} {actor.user_id} {actor.session_id.hex}".encode()


def principal_of(
    session_id: UUID,
    user: UserSchema,
    roles: Mapping[int, frozenset[Permission]],
    key: ApiKeyGrant | None = None,
) -> Principal:
    """The principal of a user with these roles, by a session or a key."""
    if not roles:
        return Principal(session_id=session_id, user=user, key=key)
    granted, ids = NONE.union(*roles.values()), frozenset(roles)
    return Principal(session_id=session_id, user=user, granted=granted, role_ids=ids, key=key)


@lru_cache(maxsize=1024)
def _profile(value: bytes | None) -> UserSchema | None:
    """The user in an entry. Parsed entries are cached."""
    return _parsed(UserSchema, value)


@lru_cache(maxsize=1024)
def _cached_user(value: bytes | None) -> CachedUser | None:
    """The same, with the ids of their roles."""
    return _parsed(CachedUser, value)


def _parsed(schema: type[Schema], value: bytes | None) -> Schema | None:
    if value is None or value == TOMBSTONE:
        return None
    try:
        return schema.model_validate_json(value)
    except ValidationError:  # written by another version of this code
        return None


@lru_cache(maxsize=256)
def _permissions(value: bytes | None) -> frozenset[Permission] | None:
    """The permissions in a role's entry."""
    if value is None or value == TOMBSTONE:
        return None
    return known(value.decode(errors="replace").split())


def _cached(token: AccessToken, session: bytes | None, user: bytes | None) -> CachedUser | None:
    """The user of `token` by the values of its two keys; None if they are not sufficient."""
    if session == TOMBSTONE:
        raise TokenRevokedException
    if session != _owner(token.user_id, token.actor):
        return None
    cached = _cached_user(user)
    if cached is None or cached.user.id != token.user_id or not cached.user.is_active:
        return None  # not written by this application
    return cached


@lru_cache(maxsize=1024)
def _cached_key(value: bytes | None) -> CachedKey | None:
    return _parsed(CachedKey, value)


def _of_key(
    key: ApiKey, entry: bytes | None, user: CachedUser | None
) -> tuple[CachedKey, CachedUser] | None:
    """The entries of a key and its owner; None if they are not sufficient."""
    if entry == TOMBSTONE:
        raise TokenRevokedException("The API key was revoked")
    cached = _cached_key(entry)
    if cached is None or user is None or not user.user.is_active:
        return None
    is_the_key = compare_digest(cached.hash, key.hash.hex()) and cached.grant.id == key.id
    return (cached, user) if is_the_key and cached.user_id == user.user.id else None
