"""`OneTimeTokens`: issue, present, spend and void the tokens of links in mails (ADR 20)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.config.sections import MAX_DELETION_GRACE
from app.core.exceptions import ValidationException
from app.core.security.one_time_tokens import OneTimeTokenDeriver, hash_of
from app.models import User
from app.models.access.one_time_token import OneTimeToken
from app.repositories.access.one_time_tokens import OneTimeTokenRepository
from app.repositories.user.repository import UserRepository
from app.schemas.account import Purpose
from app.services.base import BaseService

MAX_ATTEMPTS = 20
"""Requests that may present one token: each can cost a password hash."""
COOLDOWN = timedelta(minutes=1)
"""Between two links of one purpose that a user or a stranger may request."""
LONG_COOLDOWN = timedelta(hours=1)
"""The same after many within a day. Not longer: the owner would be locked out by requests of
others."""
RETENTION = timedelta(days=7)
"""How long an expired token stays in the table: longer than its mail may be retried."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules for the tokens of a purpose.

    Attributes:
        lifetime: from the last attempt to send the mail.
        outlives_changes: stays valid when the password or the email changes.
        is_for_inactive: is of a user who is inactive; None where it does not matter.
    """

    lifetime: timedelta
    outlives_changes: bool = False
    is_for_inactive: bool | None = False


POLICIES = {
    Purpose.PASSWORD_RESET: Policy(timedelta(minutes=30)),
    Purpose.EMAIL_VERIFICATION: Policy(timedelta(hours=24)),
    Purpose.EMAIL_CHANGE: Policy(timedelta(hours=24)),
    # An attacker who took an account over changes its password or deletes it: this stays valid.
    Purpose.EMAIL_CHANGE_UNDO: Policy(
        timedelta(hours=72), outlives_changes=True, is_for_inactive=None
    ),
    # As long as the deletion waits: nothing of it is left after that.
    Purpose.DELETION_UNDO: Policy(timedelta(seconds=MAX_DELETION_GRACE), is_for_inactive=True),
    Purpose.INVITATION: Policy(timedelta(days=7), outlives_changes=True),  # of the inviter
}


@dataclass(frozen=True, slots=True)
class Presented:
    """A live token that a client has sent, not used yet."""

    id: UUID
    user_id: int


class OneTimeTokens(BaseService):
    """One-time tokens. A user has at most one live token of a purpose, but for invitations.

    Args:
        db: the session. Only `present` and `purge` commit; the others are part of the caller's
            transaction, in which the user is locked before the token.
        settings: with the secret key.
    """

    def __init__(self, db: AsyncSession, settings: AuthSettings) -> None:
        super().__init__(db)
        self.tokens = OneTimeTokenRepository(db)
        self.users = UserRepository(db)
        assert settings.secret_key is not None  # noqa: S101  # the runtime fills it in
        self._daily_links = settings.daily_links
        secret_key = settings.secret_key.get_secret_value()
        self._deriver = OneTimeTokenDeriver(secret_key, settings.accepted_keys())

    async def issue(self, purpose: Purpose, user: User, address: str, token_id: UUID) -> str:
        """Issue a token, and void the user's earlier one of the same purpose.

        Args:
            purpose: what it allows.
            user: whom it belongs to, locked.
            address: where it is sent.
            token_id: random; that of the mail, where one is sent.

        Returns:
            The token. A mail has it from `for_mail`.
        """
        await self.tokens.void(user.id, [purpose])
        return (await self.issue_all(purpose, user, {token_id: address}))[token_id]

    async def issue_all(
        self, purpose: Purpose, user: User, addresses: Mapping[UUID, str]
    ) -> dict[UUID, str]:
        """Issue a token for each address, by its id. More than one is for a purpose of which a user
        may have several. See `issue`."""
        tokens = {token_id: self._deriver.new(token_id) for token_id in addresses}
        policy = POLICIES[purpose]
        rows = [
            OneTimeToken(
                id=token_id,
                purpose=purpose,
                user_id=user.id,
                hash=hash_of(token),
                address=addresses[token_id],
                fingerprint=None if policy.outlives_changes else fingerprint(user),
                expires_at=datetime.now(UTC) + policy.lifetime,
            )
            for token_id, token in tokens.items()
        ]
        await self.tokens.add_all(rows)
        return tokens

    async def for_mail(self, mail_id: UUID, purpose: Purpose) -> tuple[str, OneTimeToken] | None:
        """The token that was issued for a mail, at each attempt to send it; its lifetime begins
        again. None where it was used or voided, or the user has changed."""
        row = await self.tokens.renew(mail_id, POLICIES[purpose].lifetime)
        user = None if row is None else await self.users.get(row.user_id)
        if row is None or user is None or not _is_for(row, user):
            return None
        token = self._deriver.again(row.id, row.hash)
        return None if token is None else (token, row)

    async def present(self, token: str, purpose: Purpose) -> Presented:
        """Count an attempt, and find whose token this is. It is not used by that.

        Raises:
            ValidationException: it is not valid.
        """
        async with self.transaction():
            row = await self.tokens.present(hash_of(token), purpose, MAX_ATTEMPTS)
            presented = None if row is None else Presented(row.id, row.user_id)
        if presented is None:
            raise invalid_token()
        return presented

    async def spend(self, presented: Presented) -> tuple[User, OneTimeToken] | None:
        """Use a token: of several at once, one succeeds.

        Returns:
            The user, locked, and the token. None where it is not valid any more: the caller commits
            before it refuses, so that the token stays used.
        """
        user = await self.users.get(presented.user_id, lock=True)
        row = await self.tokens.spend(presented.id)
        if user is None or row is None or not _is_for(row, user):
            return None
        return user, row

    async def is_known(self, token_id: UUID) -> bool:
        """Whether a token with this id was issued."""
        return await self.tokens.get(token_id) is not None

    async def is_cooling_down(self, user_id: int, purpose: Purpose) -> bool:
        """Whether the user was issued a token of this purpose within the last minute, or within the
        last hour where `AUTH_DAILY_LINKS` or more were issued within 24."""
        now = datetime.now(UTC)
        issued = await self.tokens.issued_since(user_id, purpose, now - timedelta(days=1))
        pause = COOLDOWN if len(issued) < self._daily_links else LONG_COOLDOWN
        return any(now - moment < pause for moment in issued)

    async def is_on_its_way(self, user_id: int, purpose: Purpose, address: str) -> bool:
        """Whether this address was sent a live token of the user within the last minute."""
        moment = datetime.now(UTC) - COOLDOWN
        return await self.tokens.is_live_since(user_id, purpose, address, moment)

    async def void_all(self, user_id: int) -> None:
        """Void a user's tokens, but for those that outlive a change of password or email. Call in
        the transaction of the change."""
        purposes = [purpose for purpose, policy in POLICIES.items() if not policy.outlives_changes]
        await self.tokens.void(user_id, purposes)

    async def void_undos(self, user_id: int) -> None:
        """Void all links to undo changes of a user's email."""
        await self.tokens.void(user_id, [Purpose.EMAIL_CHANGE_UNDO])

    async def void_one(self, token_id: UUID) -> None:
        """Void a token, unless it was used."""
        await self.tokens.void_one(token_id)

    async def void_undos_after(self, user_id: int, moment: datetime) -> None:
        """Void the links to undo changes of a user's email that were made after `moment`."""
        await self.tokens.void(user_id, [Purpose.EMAIL_CHANGE_UNDO], after=moment)

    async def purge(self) -> int:
        """Delete the tokens that expired a week ago or earlier; the number of them."""
        moment = datetime.now(UTC) - RETENTION
        return await self.in_batches(lambda limit: self.tokens.delete_before(moment, limit))


def fingerprint(user: User) -> bytes:
    """Of what a token is bound to: any other password or email has another one."""
    return sha256(f"{user.hashed_password}\n{user.email}".encode()).digest()


def invalid_token() -> ValidationException:
    """The one refusal of a token, whatever is wrong with it."""
    message = "is not valid, was used before, or has expired"
    detail = {"field": "token", "message": message, "code": "token_invalid"}
    return ValidationException("The link is not valid any more", details=[detail])


def _is_for(row: OneTimeToken, user: User) -> bool:
    """Whether the user has the password and email that the token was issued for, and is active, or
    inactive where the purpose is for such users."""
    is_unchanged = row.fingerprint is None or compare_digest(row.fingerprint, fingerprint(user))
    is_for_inactive = POLICIES[Purpose(row.purpose)].is_for_inactive
    return (is_for_inactive is None or user.is_active != is_for_inactive) and is_unchanged
