"""`ApiKeyService`: API keys of users, made, listed and revoked."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.details import Detail
from app.core.exceptions import (
    ConflictException,
    NotFoundException,
    ValidationException,
)
from app.core.pagination import Page, PageParams
from app.core.permissions import NOT_FOR_KEYS
from app.core.security.api_keys import new_api_key, read_api_key
from app.models import User
from app.models.access.api_key import ApiKey
from app.repositories.access.api_key import ApiKeyRepository
from app.repositories.access.role import RoleRepository
from app.repositories.user.repository import UserRepository
from app.schemas.access.api_key import ApiKeyCreate, ApiKeyCreated, ApiKeySchema
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.services.access.rules import (
    check_granted,
    check_may_change,
    check_superuser,
    permissions_of,
)
from app.services.account.notices import Notices
from app.services.audit.redaction import state_of
from app.services.base import BaseService
from app.services.principals import PrincipalCache

MAX_KEYS = 20
"""Keys of a user: each has limits of its own."""
MAX_LIFETIME = timedelta(days=366)
RETENTION = timedelta(days=30)
"""How long an expired key stays in the lists, so that its owner sees why a program is refused."""


class ApiKeyService(BaseService):
    """Makes, lists and revokes API keys. A revoked key is refused from the next request on, in
    every process.

    Args:
        db: the request's session.
        principals: the cache of principals.
        sends_mail: whether the service sends mail.
    """

    def __init__(self, db: AsyncSession, principals: PrincipalCache, *, sends_mail: bool) -> None:
        super().__init__(db)
        self.keys = ApiKeyRepository(db)
        self.users = UserRepository(db)
        self.roles = RoleRepository(db)
        self.notices = Notices(db, is_on=sends_mail)
        self.principals = principals

    async def create(self, user_id: int, key_in: ApiKeyCreate, caller: Principal) -> ApiKeyCreated:
        """Make a key for the caller, or, with `keys:manage`, for another user, who gets a notice.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the caller lacks one of the permissions, or the user may do more
                than the caller.
            ValidationException: no key may have one of the permissions, the user lacks one, or the
                key would expire too late or before now.
            ConflictException: the user has `MAX_KEYS` already.
        """
        check_granted(caller, key_in.permissions)
        _check(key_in)
        made = new_api_key()
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            await self._check_owner(user, key_in.permissions, caller)
            if await self.keys.count(user_id) >= MAX_KEYS:
                raise ConflictException(f"A user has at most {MAX_KEYS} API keys")
            row = ApiKey(
                id=made.id,
                user_id=user_id,
                name=key_in.name,
                secret_hash=made.hash,
                permissions=[str(permission) for permission in key_in.permissions],
                expires_at=key_in.expires_at,
            )
            await self.keys.add(row)
            self.audit.record(
                Action.KEY_CREATED, Target("key", row.id), user_id=user_id, after=state_of(row)
            )
            await self.notices.send("api-key-made", user.id, user.email, name=row.name)
        key = ApiKeySchema.model_validate(row)
        return ApiKeyCreated(**key.model_dump(), key=made.text)

    async def of(self, user_id: int, params: PageParams) -> Page[ApiKey]:
        """A page of a user's keys, the newest first.

        Raises:
            NotFoundException: there is no such user.
        """
        await self.users.get_or_raise(user_id)
        return await self.keys.of_user(user_id, params)

    async def revoke(self, key_id: UUID, user_id: int, caller: Principal) -> None:
        """Revoke a key of the caller, or of another user.

        Raises:
            NotFoundException: there is no such user, or they have no such key.
            ForbiddenException: the user is a superuser, and the caller is none.
        """
        async with self.transaction():
            check_superuser(caller, await self.users.get_or_raise(user_id))
            row = await self.keys.remove(key_id, user_id)
            if row is None:
                raise NotFoundException("API key not found")
            self._record_revoked(row)
        await self.principals.revoke_key(key_id)

    async def revoke_leaked(self, text: str) -> None:
        """Revoke a key that was found somewhere. The finder may; what is no valid key is
        ignored.

        Raises:
            TokenInvalidException: it is no API key of this service at all.
        """
        key = read_api_key(text)
        row = await self.keys.find(key.id)
        if row is None or not compare_digest(row.secret_hash, key.hash):
            return
        async with self.transaction():
            removed = await self.keys.remove(key.id, row.user_id)
            if removed is not None:
                self._record_revoked(removed)
        await self.principals.revoke_key(key.id)

    async def count_live(self, user_id: int) -> int:
        """How many keys of a user have not expired."""
        return await self.keys.count_live(user_id)

    async def purge(self) -> int:
        """Delete the keys that expired 30 days ago or earlier; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        return await self.in_batches(lambda limit: self.keys.delete_expired_before(moment, limit))

    async def _check_owner(
        self, user: User, permissions: Collection[str], caller: Principal
    ) -> None:
        if user.is_superuser:
            check_superuser(caller, user)
            return
        roles = await self.roles.of_user(user.id)
        check_may_change(caller, user, roles)
        owned = permissions_of(roles)
        if missing := [name for name in permissions if name not in owned]:
            raise ValidationException(details=[_refused("the user does not have " + missing[0])])

    def _record_revoked(self, row: ApiKey) -> None:
        target = Target("key", row.id)
        self.audit.record(Action.KEY_REVOKED, target, user_id=row.user_id, before=state_of(row))


def _check(key_in: ApiKeyCreate) -> None:
    now = datetime.now(UTC)
    details: list[Detail] = []
    if refused := sorted(NOT_FOR_KEYS.intersection(key_in.permissions)):
        details.append(_refused(f"no API key may have {refused[0]}"))
    if not now < key_in.expires_at <= now + MAX_LIFETIME:
        message = "should be within a year from now"
        details.append({"field": "expires_at", "message": message, "code": "out_of_range"})
    if details:
        raise ValidationException(details=details)


def _refused(message: str) -> Detail:
    return {"field": "permissions", "message": message, "code": "not_allowed"}
