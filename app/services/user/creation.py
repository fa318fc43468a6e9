"""How users come to be: one by one, or many at once."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import ConflictException, Detail, ValidationException
from app.core.normalisation import has_special_use_domain, username_key
from app.core.security import PasswordHasher
from app.core.security.passwords import weakness
from app.models import User
from app.repositories.user.repository import UserRepository
from app.schemas.bulk import BulkUserCreate, RefusedRow
from app.schemas.user import UserCreate
from app.services.base import BaseService
from app.services.user.new_users import Draft, Findings, conflicts_of, settle_usernames

Rows = Sequence[BulkUserCreate | RefusedRow]
AlsoDo = Callable[[Sequence[User]], Awaitable[None]]


class UserCreation(BaseService):
    """Creating users, with no regard to who asks.

    Args:
        db: the request's session.
        passwords: hashes them.
        settings: how short a password may be, and at which domains an email.
        app_name: the service's, which is no password.
    """

    def __init__(
        self,
        db: AsyncSession,
        passwords: PasswordHasher,
        settings: AuthSettings,
        app_name: str = "",
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.passwords = passwords
        self.settings = settings
        self.app_name = app_name

    async def create_user(self, user_in: UserCreate) -> User:
        """Create a user, whatever the domain of the email.

        Raises:
            ValidationException: the password is too weak.
            ConflictException: the email or the username is taken.
        """
        draft = Draft.of(user_in)
        if faults := self._weaknesses(draft):
            raise ValidationException(details=faults)
        # Before the transaction: no connection is held while a core is busy for 50 ms.
        await self.release_connection()
        password = user_in.password.get_secret_value()
        draft.hashed_password = await self.passwords.hash(password)
        async with self.transaction():
            (user,) = await self._insert([draft])
        return user

    async def create_users_bulk(self, rows: Rows, also: AlsoDo | None = None) -> Sequence[User]:
        """Create all users of a list, or none of them.

        Args:
            rows: what was sent, at least one.
            also: done with the users in the same transaction.

        Returns:
            The users, in the order of their rows.

        Raises:
            ValidationException: rows are invalid; each is named, and each that collides.
            ConflictException: emails or usernames are taken, or twice in the list; each row
                is named.
        """
        findings = await self.examine(rows)
        findings.refuse()
        drafts = findings.drafts
        await self._hash_passwords(drafts)
        try:
            async with self.transaction():
                # One list after the other: two that share names in another order would each
                # wait for what the other has.
                await self.users.lock_bulk()
                users = await self._insert(drafts)
                if also is not None:
                    await also(users)
        except ConflictException:
            # Somebody was faster: now it can be said who.
            (await self.examine(rows)).refuse()
            raise
        return users

    async def create_acceptable_users(
        self, rows: Rows, numbers: Sequence[int], attempts: int = 3
    ) -> Sequence[Detail]:
        """Create those of a list against whom nothing stands, at any domain: for commands.

        Args:
            rows: what was read.
            numbers: what each row is called.
            attempts: how often to begin again where somebody was faster.

        Returns:
            What stands against the others, ordered by the numbers, which are its `index`.

        Raises:
            ConflictException: somebody was faster each time.
        """
        findings = await self.examine(rows, numbers, any_domain=True)
        drafts = findings.acceptable
        await self._hash_passwords(drafts)
        try:
            async with self.transaction():
                await self.users.lock_bulk()
                await self._insert(drafts)
        except ConflictException:
            if attempts == 1:
                raise
            return await self.create_acceptable_users(rows, numbers, attempts - 1)
        return findings.details

    async def examine(
        self, rows: Rows, numbers: Sequence[int] | None = None, *, any_domain: bool = False
    ) -> Findings:
        """Look at every row, and once into the table. Nothing is written, and nothing hashed.

        Args:
            rows: what was sent.
            numbers: what each row is called; its position, from 0, where left out.
            any_domain: accept emails at special-use domains, whatever the settings say.
        """
        drafts: list[Draft] = []
        invalid: list[Detail] = []
        faults: list[Detail]
        for index, row in zip(numbers or range(len(rows)), rows, strict=True):
            if isinstance(row, RefusedRow):
                faults = list(row.details)
            else:
                drafts.append(draft := Draft.of(row, index))
                faults = self._weaknesses(draft)
                if not any_domain:
                    faults += self._domain_faults(draft.user_in.email)
            invalid += [{"index": index, **fault} for fault in faults]
        taken = await self.users.taken(
            {draft.user_in.email for draft in drafts},
            {username_key(draft.username) for draft in drafts},
        )
        await self.release_connection()
        settle_usernames(drafts, taken)
        return Findings(drafts, invalid, conflicts_of(drafts, taken))

    def _weaknesses(self, draft: Draft) -> list[Detail]:
        """What is wrong with the password; nothing where a hash was brought instead."""
        if draft.password is None:
            return []
        known = draft.user_in.email, draft.username, self.app_name
        shortest = self.settings.password_min_length
        reason = weakness(draft.password.get_secret_value(), shortest, *known)
        return [{"field": "password", "message": reason}] if reason else []

    def _domain_faults(self, email: str) -> list[Detail]:
        """That no public mail server serves the email's domain, unless the settings accept it."""
        if self.settings.special_use_domains or not has_special_use_domain(email):
            return []
        message = "is at a special-use domain (AUTH_SPECIAL_USE_DOMAINS)"
        return [{"field": "email", "message": message}]

    async def _hash_passwords(self, drafts: Sequence[Draft]) -> None:
        """Side by side. Those who brought a hash have no password."""
        plain = [(draft, draft.password) for draft in drafts if draft.password is not None]
        hashes = await self.passwords.hash_all([secret.get_secret_value() for _, secret in plain])
        for (draft, _), hashed in zip(plain, hashes, strict=True):
            draft.hashed_password = hashed

    async def _insert(self, drafts: Sequence[Draft]) -> Sequence[User]:
        """Insert within the caller's transaction; derived usernames that somebody took meanwhile
        get another ending.

        Raises:
            ConflictException: what was sent is taken.
        """
        try:
            return await self.users.add_all([draft.values() for draft in drafts])
        except ConflictException as conflict:
            derived = {draft.username for draft in drafts if draft.is_derived}
            if not derived or all(reason["field"] != "username" for reason in conflict.details):
                raise
            settle_usernames(drafts, await self.users.taken((), derived))
            return await self.users.add_all([draft.values() for draft in drafts])
