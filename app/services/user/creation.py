"""Creation of users, one by one or in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.details import Detail
from app.core.exceptions import ConflictException, ValidationException
from app.core.security import PasswordHasher
from app.core.security.passwords.policy import PasswordPolicy
from app.core.text.normalisation import has_special_use_domain, username_key
from app.models import User
from app.repositories.user.repository import UserRepository
from app.schemas.access.session import Principal
from app.schemas.audit import Action
from app.schemas.bulk import BulkReport, BulkUserCreate, RefusedRow
from app.schemas.user import UserCreate, UserSchema
from app.services.audit.redaction import state_of, target_of
from app.services.base import BaseService
from app.services.idempotency import IdempotencyService, IdempotentRequest
from app.services.user.new_rows import (
    PRIVILEGE_REFUSED,
    CheckedRows,
    NewUserRow,
    conflicts_of,
    make_usernames_unique,
)

ParsedRows = Sequence[BulkUserCreate | RefusedRow]
_USERS = TypeAdapter(list[UserSchema])


@dataclass(frozen=True, slots=True)
class BulkCreated:
    """The users of a list, as JSON in the order of their rows.

    Attributes:
        is_replay: an earlier request created them.
    """

    body: bytes
    is_replay: bool = False


class UserCreation(BaseService):
    """Creates users, without checks of the caller.

    Args:
        db: the request's session.
        passwords: hashes passwords.
        policy: refuses weak passwords.
        settings: the accepted domains of an email.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        settings: AuthSettings,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.idempotency = IdempotencyService(db)
        self.passwords = passwords
        self.policy = policy
        self.settings = settings

    async def create_user(self, user_in: UserCreate, *, is_verified: bool = False) -> User:
        """Create a user, whatever the domain of the email.

        Args:
            user_in: the user.
            is_verified: whether the email is known to be the user's.

        Raises:
            ValidationException: the password is too weak.
            ConflictException: the email or the username is taken.
        """
        row = await self.prepare(user_in)
        row.is_verified = is_verified
        async with self.transaction():
            (user,) = await self.insert([row])
        return user

    async def prepare(self, user_in: UserCreate) -> NewUserRow:
        """Check and hash the password, without a connection.

        Raises:
            ValidationException: the password is too weak.
        """
        row = NewUserRow.of(user_in)
        await self.require_strong(row)
        password = user_in.password.get_secret_value()
        row.hashed_password = await self.passwords.hash(password)
        return row

    async def submit_bulk(
        self,
        rows: ParsedRows,
        request: IdempotentRequest | None,
        caller: Principal,
        *,
        dry_run: bool,
    ) -> BulkReport | BulkCreated:
        """Create all users of a list, once for each request; with `dry_run` only check the list.

        Raises:
            ValidationException: rows are invalid, or have superusers and the caller is none.
            ConflictException: emails or usernames are taken, or the request's key is.
        """
        if not caller.is_superuser:
            rows = [_without_superuser(row) for row in rows]
        if dry_run:
            details = (await self.check(rows)).details
            return BulkReport.model_validate(
                {"total": len(rows), "is_acceptable": not details, "details": details}
            )
        if earlier := await self._earlier(request):
            return earlier
        try:
            users, stored = await self._create_bulk(rows, request)
        except ConflictException:
            # Perhaps with the same request: one that was under way has succeeded by now.
            if earlier := await self._earlier(request):
                return earlier
            raise
        return BulkCreated(stored or _json(users))

    async def _earlier(self, request: IdempotentRequest | None) -> BulkCreated | None:
        body = None if request is None else await self.idempotency.find(request)
        return None if body is None else BulkCreated(body, is_replay=True)

    async def create_users_bulk(
        self, rows: ParsedRows, request: IdempotentRequest | None = None
    ) -> Sequence[User]:
        """Create all users of a list, or none of them.

        Args:
            rows: the list, at least one.
            request: store the created users under its key, in the same transaction.

        Returns:
            The users, in the order of their rows.

        Raises:
            ValidationException: rows are invalid; each is named, and each that collides.
            ConflictException: emails or usernames are taken, or twice in the list, and each row
                is named; or the request's key is taken.
        """
        users, _ = await self._create_bulk(rows, request)
        return users

    async def _create_bulk(
        self, rows: ParsedRows, request: IdempotentRequest | None
    ) -> tuple[Sequence[User], bytes | None]:
        """See `create_users_bulk`: the users, and what was stored of them for the request."""
        stored = None
        checked = await self.check(rows)
        checked.require_acceptable()
        await self.hash_passwords(checked.rows)
        try:
            async with self.transaction():
                users = await self.insert_list(checked.rows)
                if request is not None:
                    stored = _json(users)
                    await self.idempotency.store(request, stored)
        except ConflictException:
            # Another request was faster: check again, to name the rows.
            (await self.check(rows)).require_acceptable()
            raise
        return users, stored

    async def create_acceptable_users(
        self, rows: ParsedRows, numbers: Sequence[int], attempts: int = 3
    ) -> Sequence[Detail]:
        """Create the users of all rows without a fault, at any domain: for commands.

        Args:
            rows: the list.
            numbers: a number for each row, which is the `index` of its faults.
            attempts: how often to try where another process takes a name meanwhile.

        Returns:
            The faults of the other rows, ordered by number.

        Raises:
            ConflictException: another process took a name during each attempt.
        """
        checked = await self.check(rows, numbers, any_domain=True)
        new = checked.acceptable
        await self.hash_passwords(new)
        try:
            async with self.transaction():
                await self.insert_list(new)
        except ConflictException:
            if attempts == 1:
                raise
            return await self.create_acceptable_users(rows, numbers, attempts - 1)
        return checked.details

    async def check(
        self, rows: ParsedRows, numbers: Sequence[int] | None = None, *, any_domain: bool = False
    ) -> CheckedRows:
        """Check every row, with one query. Nothing is written, and nothing hashed.

        Args:
            rows: the list.
            numbers: a number for each row; its position, from 0, where left out.
            any_domain: accept emails at special-use domains, whatever the settings say.
        """
        new: list[NewUserRow] = []
        invalid: list[Detail] = []
        faults: list[Detail]
        for index, sent in zip(numbers or range(len(rows)), rows, strict=True):
            if isinstance(sent, RefusedRow):
                faults = list(sent.details)
            else:
                new.append(row := NewUserRow.of(sent, index))
                faults = self.weaknesses(row)
                if not any_domain:
                    faults += self.domain_faults(row.user_in.email)
            invalid += [{"index": index, **fault} for fault in faults]
        taken = await self.users.taken(
            {row.user_in.email for row in new}, {username_key(row.username) for row in new}
        )
        await self.release_connection()
        make_usernames_unique(new, taken)
        return CheckedRows(new, invalid, conflicts_of(new, taken))

    async def require_strong(self, row: NewUserRow) -> None:
        """Check the password of one user, and release the connection: none is held while another
        service is asked, and then a core is busy for 50 ms. Lists are not looked up, which would
        take a request for each row.

        Raises:
            ValidationException: the password is too weak, or known from a breach.
        """
        await self.release_connection()
        if row.password is None:
            return
        if reason := await self.policy.refusal(row.password.get_secret_value(), *row.names):
            raise ValidationException(details=[_weak_password(reason)])

    def weaknesses(self, row: NewUserRow) -> list[Detail]:
        """The faults of the password; none where a hash was sent instead."""
        if row.password is None:
            return []
        reason = self.policy.weakness(row.password.get_secret_value(), *row.names)
        return [_weak_password(reason)] if reason else []

    def domain_faults(self, email: str) -> list[Detail]:
        """A fault where no public mail server serves the domain, unless the settings accept it."""
        if self.settings.special_use_domains or not has_special_use_domain(email):
            return []
        message = "is at a special-use domain (AUTH_SPECIAL_USE_DOMAINS)"
        return [{"field": "email", "message": message, "code": "not_allowed"}]

    async def hash_passwords(self, new: Sequence[NewUserRow]) -> None:
        """Hash in parallel. Rows with a hash of their own have no password."""
        plain = [(row, row.password) for row in new if row.password is not None]
        hashes = await self.passwords.hash_all([secret.get_secret_value() for _, secret in plain])
        for (row, _), hashed in zip(plain, hashes, strict=True):
            row.hashed_password = hashed

    async def insert_list(self, new: Sequence[NewUserRow]) -> Sequence[User]:
        """Insert a list of users, whose passwords are hashed, within the caller's transaction.

        Raises:
            ConflictException: an email or username that was sent is taken.
        """
        # One list after the other: two that share names in another order would each wait for what
        # the other has.
        await self.users.lock_bulk()
        return await self.insert(new)

    async def insert(self, new: Sequence[NewUserRow]) -> Sequence[User]:
        """Insert within the caller's transaction; derived usernames that were taken meanwhile get
        another ending.

        Raises:
            ConflictException: an email or username that was sent is taken.
        """
        users = await self._insert_once_more(new)
        for user in users:
            self.audit.record(Action.USER_CREATED, target_of(user), after=state_of(user))
        return users

    async def _insert_once_more(self, new: Sequence[NewUserRow]) -> Sequence[User]:
        try:
            return await self.users.add_all([row.values() for row in new])
        except ConflictException as conflict:
            derived = {row.username for row in new if row.is_derived}
            if not derived or all(reason["field"] != "username" for reason in conflict.details):
                raise
            make_usernames_unique(new, await self.users.taken((), derived))
            return await self.users.add_all([row.values() for row in new])


def _without_superuser(row: BulkUserCreate | RefusedRow) -> BulkUserCreate | RefusedRow:
    """The row, refused where it is a superuser."""
    if isinstance(row, RefusedRow) or row.is_superuser is not True:
        return row
    return RefusedRow([{"field": "is_superuser", **PRIVILEGE_REFUSED}])


def _weak_password(reason: str) -> Detail:
    return {"field": "password", "message": reason, "code": "weak_password"}


def _json(users: Sequence[User]) -> bytes:
    return _USERS.dump_json(_USERS.validate_python(users, from_attributes=True))
