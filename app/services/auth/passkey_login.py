"""`PasskeyLoginService`: logins and confirmations by passkey."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.device import Device
from app.core.exceptions import ForbiddenException, PasskeyRefusedException, ValidationException
from app.core.security import TokenSigner, base64url
from app.core.security.mfa.challenges import CeremonyRefused
from app.core.security.mfa.lazy_relying_party import RelyingPartyLoader
from app.models.access.passkey import Passkey
from app.repositories.access.mfa import MfaRepository
from app.repositories.access.passkeys import PasskeyRepository
from app.repositories.session import SessionRepository
from app.repositories.user.repository import Credentials, UserRepository
from app.schemas.access.passkey import SignInCredential
from app.schemas.access.session import Principal
from app.services.account.verification import VerifiedLogins
from app.services.auth.issuing import Begun, PageLogin, SessionIssuer, Tokens
from app.services.auth.passkeys import configured
from app.services.auth.session_confirmation import record_confirmation
from app.services.base import BaseService

log = structlog.get_logger("app.security")


class PasskeyLoginService(BaseService):
    """Logins by passkey alone: it is bound to this site, and its user was verified by it.

    Args:
        db: database session of the request.
        tokens: signs tokens.
        party: verifies what browsers send; None where passkeys are not configured.
        settings: lifetimes of sessions, and whether emails are verified.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        tokens: TokenSigner,
        party: RelyingPartyLoader | None,
        settings: AuthSettings,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.sessions = SessionRepository(db)
        self.mfa = MfaRepository(db)
        self.passkeys = PasskeyRepository(db)
        self.issuer = SessionIssuer(self.sessions, tokens, settings, sends_mail=sends_mail)
        self.verified_logins = VerifiedLogins(db, settings, sends_mail=sends_mail)
        self._party = party

    async def options(self) -> dict[str, Any]:
        """Options for the browser, the same for every user. Nothing is stored.

        Raises:
            NotFoundException: passkeys are not configured.
        """
        party = await configured(self._party)
        return party.sign_in_options()

    async def log_in(self, credential: SignInCredential, device: Device) -> Tokens:
        """Begin a session.

        Raises:
            NotFoundException: passkeys are not configured.
            PasskeyRefusedException: the passkey is unknown, its answer is not valid or was used
                before, or its user is inactive.
            EmailUnverifiedException: the user has to verify the email first.
        """
        return self.issuer.tokens(await self._log_in(credential, device))

    async def log_in_to_page(
        self, credential: SignInCredential, device: Device, *, needs_role: bool = True
    ) -> PageLogin:
        """The same for the pages.

        Raises:
            ForbiddenException: the user needs a role, and is no superuser and has none; or has to
                verify the email first. No session began.
        """
        begun = await self._log_in(credential, device, needs_role=needs_role)
        return self.issuer.page_login(begun)

    async def confirm(self, caller: Principal, credential: SignInCredential) -> datetime:
        """Confirm the caller's session; until when it counts.

        Raises:
            NotFoundException: passkeys are not configured.
            ValidationException: the passkey is not the caller's, or its answer is not valid or was
                used before.
        """
        try:
            passkey = await self._find(credential, caller.user_id)
            async with self.transaction():
                await self._use(passkey, credential)
                return await record_confirmation(self.sessions, self.audit, caller, "passkey")
        except PasskeyRefusedException as refusal:  # a 401 would tell clients to log in again
            detail = {"field": "passkey", "message": refusal.message, "code": "wrong_code"}
            raise ValidationException(details=[detail]) from refusal

    async def _log_in(
        self, credential: SignInCredential, device: Device, *, needs_role: bool = False
    ) -> Begun:
        passkey = await self._find(credential)
        found = await self.users.credentials_of(passkey.user_id)
        if found is None:
            raise PasskeyRefusedException
        if needs_role and not found.may_use_pages:
            raise ForbiddenException("Your account may not use these pages")
        async with self.transaction():
            begun = await self._begin(passkey, credential, found, device)
        if begun is None:
            await self.verified_logins.refuse(found)
        log.info("login", user=found.id, address=device.address)
        return begun

    async def _begin(
        self, passkey: Passkey, credential: SignInCredential, user: Credentials, device: Device
    ) -> Begun | None:
        """Use the answer, and begin a session; None where the user has to verify the email first,
        which only the owner of the passkey learns."""
        if not await self.users.lock_unchanged(user):
            raise PasskeyRefusedException
        await self._use(passkey, credential)
        if not self.verified_logins.are_open_to(user):
            return None
        key = "swk" if passkey.is_backup_eligible else "hwk"
        return await self.issuer.begin(user, device, (key, "user", "mfa"))

    async def _find(self, credential: SignInCredential, user_id: int | None = None) -> Passkey:
        """The passkey that answers; where `user_id` is given, one of this user."""
        await configured(self._party)
        try:
            credential_id = base64url.decode(credential.raw_id)
        except ValueError as error:
            raise PasskeyRefusedException from error
        passkey = await self.passkeys.by_credential_id(credential_id)
        if passkey is None or user_id not in {None, passkey.user_id}:
            raise PasskeyRefusedException
        return passkey

    async def _use(self, passkey: Passkey, credential: SignInCredential) -> None:
        """Verify an answer, and record in the caller's transaction that it was used."""
        party, user_id = await configured(self._party), passkey.user_id
        try:
            use, challenge = party.signed_in(credential.as_sent(), user_id, passkey.public_key)
        except CeremonyRefused as refusal:
            log.warning("passkey_refused", user=user_id, reason=str(refusal))
            raise PasskeyRefusedException from refusal
        if 0 < use.sign_count <= passkey.sign_count:
            # A copy of the key, or an authenticator that was restored: no proof of either.
            counts = {"was": passkey.sign_count, "now": use.sign_count}
            log.warning("passkey_sign_count", user=user_id, passkey=passkey.id, **counts)
        is_used = await self.mfa.spend(challenge.digest, challenge.expires_at)
        is_backed_up = use.is_backed_up
        if not is_used or not await self.passkeys.use(
            passkey.id, use.sign_count, is_backed_up=is_backed_up
        ):
            raise PasskeyRefusedException
        await self.mfa.forgive_failures(user_id)
