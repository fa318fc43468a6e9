"""`PasskeyService`: a user's passkeys, registered, named, listed and removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import ConflictException, NotFoundException, ValidationException
from app.core.security.mfa.challenges import CeremonyRefused
from app.core.security.mfa.lazy_relying_party import RelyingPartyLoader
from app.models.access.passkey import Passkey
from app.repositories.access.passkeys import PasskeyRepository
from app.schemas.access.passkey import PasskeyRegistration
from app.schemas.access.session import Principal
from app.services.auth.factors import FactorService
from app.services.principals import PrincipalCache

if TYPE_CHECKING:
    from app.core.security.mfa.relying_party import RelyingParty

log = structlog.get_logger("app.security")

MAX_PASSKEYS = 20
"""Of one user."""


class PasskeyService(FactorService):
    """Passkeys of the caller.

    Args:
        db: database session of the request.
        principals: cache of principals.
        party: verifies what browsers send; None where passkeys are not configured.
        sends_mail: whether the service sends mail.
    """

    def __init__(
        self,
        db: AsyncSession,
        principals: PrincipalCache,
        party: RelyingPartyLoader | None,
        *,
        sends_mail: bool,
    ) -> None:
        super().__init__(db, principals, sends_mail=sends_mail)
        self.passkeys = PasskeyRepository(db)
        self._party = party

    async def of(self, user_id: int) -> Sequence[Passkey]:
        """A user's passkeys, the oldest first."""
        return await self.passkeys.of(user_id)

    async def one(self, caller: Principal, passkey_id: int) -> Passkey:
        """
        Raises:
            NotFoundException: the caller has no such passkey.
        """
        return await self.passkeys.get_or_raise(passkey_id, caller.user_id)

    async def registration_options(self, caller: Principal) -> dict[str, Any]:
        """Options for the browser, to register a passkey.

        Raises:
            NotFoundException: passkeys are not configured.
            ConflictException: the caller has too many.
        """
        party = await configured(self._party)
        known = [passkey.credential_id for passkey in await self.passkeys.of(caller.user_id)]
        _check_number(known)
        user = caller.user
        return party.registration_options(user.id, user.email, _purpose(caller), known)

    async def register(
        self, caller: Principal, registration: PasskeyRegistration
    ) -> tuple[Passkey, list[str]]:
        """Register a passkey; with the first factor of the caller, end their other sessions.

        Returns:
            The passkey, and with the first factor new recovery codes.

        Raises:
            NotFoundException: passkeys are not configured.
            ValidationException: the response is not valid, or its challenge was used before.
            ConflictException: the passkey is registered already, or the caller has too many.
        """
        party = await configured(self._party)
        try:
            new, challenge = party.registered(registration.credential.as_sent(), _purpose(caller))
        except CeremonyRefused as refusal:
            log.warning("passkey_refused", user=caller.user_id, reason=str(refusal))
            raise _invalid() from refusal
        async with self.transaction():
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            if not await self.mfa.spend(challenge.digest, challenge.expires_at):
                raise _invalid()
            _check_number(await self.passkeys.of(user.id))
            passkey = await self.passkeys.add(
                Passkey(
                    user_id=user.id,
                    credential_id=new.credential_id,
                    public_key=new.public_key,
                    sign_count=new.sign_count,
                    name=registration.name,
                    aaguid=new.aaguid,
                    is_backup_eligible=new.is_backup_eligible,
                    is_backed_up=new.is_backed_up,
                )
            )
            notice = f"The passkey “{passkey.name}” was added"
            codes = await self.factor_added(caller, user, "passkey", notice)
        await self.principals.forget_user(caller.user_id)
        return passkey, codes

    async def rename(self, caller: Principal, passkey_id: int, name: str) -> Passkey:
        """
        Raises:
            NotFoundException: the caller has no such passkey.
        """
        async with self.transaction():
            passkey = await self.passkeys.get_or_raise(passkey_id, caller.user_id, lock=True)
            passkey.name = name
        return passkey

    async def remove(self, caller: Principal, passkey_id: int) -> None:
        """
        Raises:
            NotFoundException: the caller has no such passkey.
        """
        async with self.transaction():
            user = await self.users.get_or_raise(caller.user_id, lock=True)
            passkey = await self.passkeys.get_or_raise(passkey_id, user.id)
            await self.passkeys.delete(passkey)
            await self.factor_removed(user, "passkey", f"The passkey “{passkey.name}” was removed")
        await self.principals.forget_user(caller.user_id)


async def configured(party: RelyingPartyLoader | None) -> "RelyingParty":
    """
    Raises:
        NotFoundException: passkeys are not configured.
    """
    if party is None:
        raise NotFoundException("Passkeys are not available: AUTH_PASSKEY_RP_ID is not set")
    return await party.load()


def _purpose(caller: Principal) -> str:
    """Of a challenge that only this session may answer."""
    return f"register {caller.session_id}"


def _check_number(passkeys: Sequence[object]) -> None:
    if len(passkeys) >= MAX_PASSKEYS:
        raise ConflictException(f"There are {MAX_PASSKEYS} passkeys already: remove one first")


def _invalid() -> ValidationException:
    detail = {"field": "credential", "message": "is not valid here, or was used before"}
    return ValidationException(details=[detail])
