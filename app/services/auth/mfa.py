"""`MfaService`: a user's second factors, set up, shown and removed."""

from typing import NamedTuple

import segno
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AuthSettings
from app.core.exceptions import ConflictException, NotFoundException, ValidationException
from app.core.security.mfa.totp import matching_step, new_secret, provisioning_uri
from app.core.security.sealing import ContentCipher
from app.core.text.normalisation import normalise_login
from app.models import User
from app.repositories.access.mfa import Factors
from app.repositories.access.role import RoleRepository
from app.schemas.access.mfa import MfaStatus, TotpSetup
from app.schemas.access.session import Principal
from app.schemas.audit import Action
from app.services.access.rules import check_may_change
from app.services.audit.redaction import target_of
from app.services.auth.codes import CodeChecker
from app.services.auth.factors import FactorService
from app.services.principals import PrincipalCache

log = structlog.get_logger("app.security")


class Resealed(NamedTuple):
    """Numbers of secrets that another key had encrypted, and of those that no accepted key can
    decrypt."""

    done: int
    unreadable: int


class MfaService(FactorService):
    """The authenticator app, the recovery codes, and the reset of all factors.

    Args:
        db: database session of the request.
        cipher: encrypts the secrets of authenticator apps.
        principals: cache of principals.
        settings: who has to have a second factor.
        app_name: name of the service, shown by authenticator apps.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        cipher: ContentCipher,
        principals: PrincipalCache,
        settings: AuthSettings,
        app_name: str,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db, principals, sends_mail=sends_mail)
        self.codes = CodeChecker(self.mfa, cipher)
        self.roles = RoleRepository(db)
        self.settings = settings
        self.app_name = app_name

    async def status(self, caller: Principal) -> MfaStatus:
        totp = await self.mfa.totp(caller.user_id)
        factors = await self.mfa.factors(caller.user_id)
        return MfaStatus(
            totp_confirmed_at=totp and totp.confirmed_at,
            recovery_codes_left=factors.recovery_codes,
            is_required=self.settings.requires_mfa(is_superuser=caller.is_superuser),
        )

    async def factors_of(self, user_id: int) -> Factors:
        """For administrators."""
        return await self.mfa.factors(user_id)

    async def begin_totp(self, caller: Principal) -> TotpSetup:
        """Propose the secret of an authenticator app, in place of one that was not confirmed.

        Raises:
            ConflictException: the caller has an authenticator app.
        """
        user, secret = caller.user, new_secret()
        sealed = self.codes.seal(user.id, secret)
        async with self.transaction():
            if not await self.mfa.propose(user.id, sealed, self.codes.key_id):
                raise ConflictException("An authenticator app is set up already: remove it first")
        return self._setup(caller, secret)

    async def proposed_totp(self, caller: Principal) -> TotpSetup:
        """The authenticator app that waits for its first code.

        Raises:
            ConflictException: none does.
        """
        secret = await self._proposed(caller.user_id)
        return self._setup(caller, secret)

    async def confirm_totp(self, caller: Principal, code: str) -> list[str]:
        """Have the proposed authenticator app count, and end the caller's other sessions.

        Returns:
            With the first factor, new recovery codes, which are shown this once.

        Raises:
            ConflictException: no authenticator app is proposed.
            ValidationException: the code is not the app's.
        """
        user_id = caller.user_id
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            step = matching_step(await self._proposed(user_id), code)
            if step is None or not await self.mfa.confirm(user_id, step):
                raise _wrong_code()
            notice = "An authenticator app was set up"
            codes = await self.factor_added(caller, user, "otp", notice)
        await self.principals.forget_user(user_id)
        return codes

    async def remove_totp(self, caller: Principal) -> None:
        """Remove the authenticator app, and with the last factor the recovery codes.

        Raises:
            NotFoundException: there is none.
        """
        async with self.transaction():
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            if not await self.mfa.remove_totp(user.id):
                raise NotFoundException("No authenticator app is set up")
            await self.factor_removed(user, "otp", "The authenticator app was removed")
        await self.principals.forget_user(caller.user_id)

    async def new_recovery_codes(self, caller: Principal) -> list[str]:
        """Ten new codes in place of all earlier ones.

        Raises:
            ConflictException: the caller has no second factor.
        """
        async with self.transaction():
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            if not user.has_mfa:
                raise ConflictException("Set up an authenticator app or a passkey first")
            codes = await self.replace_recovery_codes(user.id)
            self.audit.record(Action.RECOVERY_CODES_CREATED, target_of(user))
            await self.notify(user, "New recovery codes were made")
        return codes

    async def reset(self, user_id: int, caller: Principal | None = None) -> None:
        """Remove all second factors of a user who has lost them, and end their sessions.

        Args:
            user_id: the user.
            caller: who does it; None for a command.

        Raises:
            NotFoundException: there is no such user.
            ForbiddenException: the user may do more than the caller.
        """
        async with self.transaction():
            user = await self.users.get_or_raise(user_id, lock=True)
            if caller is not None:
                check_may_change(caller, user, await self.roles.of_user(user_id))
            await self.mfa.remove_factors(user_id)
            await self.forget_last(user)
            await self.notify(user, "An administrator removed all second factors")
            ended = await self.sessions.end_all(user_id)
            facts = {"sessions_ended": ended}
            self.audit.record(Action.MFA_RESET, target_of(user), after=facts)
        await self.principals.forget_user(user_id)
        log.warning("mfa_reset", user=user_id, sessions_ended=ended)

    async def reset_by_email(self, email: str) -> User:
        """The same, by email; returns the user.

        Raises:
            NotFoundException: no user has the email.
        """
        user = await self.users.by_email(email)
        if user is None:
            raise NotFoundException(f"No user has the email {normalise_login(email)}")
        await self.reset(user.id)
        return user

    async def reseal(self) -> Resealed:
        """Encrypt the secrets of authenticator apps by the key in use, after a change of keys."""
        done = unreadable = last = 0

        async def batch(limit: int) -> int:
            nonlocal done, unreadable, last
            found = await self.mfa.secrets_of_other_keys(self.codes.key_id, last, limit)
            for user_id, sealed in found:
                last = user_id
                secret = self.codes.open(user_id, sealed)
                if secret is None:
                    unreadable += 1
                    continue
                renewed = self.codes.seal(user_id, secret)
                await self.mfa.reseal(user_id, renewed, self.codes.key_id)
                done += 1
            return len(found)

        await self.in_batches(batch)
        if done or unreadable:
            async with self.transaction():
                facts = {"done": done, "unreadable": unreadable}
                self.audit.record(Action.MFA_RESEALED, after=facts)
        return Resealed(done, unreadable)

    async def _proposed(self, user_id: int) -> str:
        """The secret of an app that is not confirmed.

        Raises:
            ConflictException: there is none, or no accepted key can decrypt it.
        """
        totp = await self.mfa.totp(user_id)
        is_proposed = totp is not None and totp.confirmed_at is None
        secret = self.codes.open(user_id, totp.secret) if totp and is_proposed else None
        if secret is None:
            raise ConflictException("No authenticator app waits for its first code")
        return secret

    def _setup(self, caller: Principal, secret: str) -> TotpSetup:
        uri = provisioning_uri(secret, caller.user.email, self.app_name)
        return TotpSetup(secret=secret, uri=uri, qr_code=_qr_code(uri))


def _qr_code(uri: str) -> str:
    """As SVG for a page: without a style attribute, which the policy of the pages would ignore."""
    return segno.make(uri, error="m").svg_inline(scale=5, border=2, svgclass="qr", lineclass=None)


def _wrong_code() -> ValidationException:
    detail = {"field": "code", "message": "is not the app's code now", "code": "wrong_code"}
    return ValidationException(details=[detail])
