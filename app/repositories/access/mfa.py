"""Queries on second factors: authenticator apps, recovery codes, and spent challenges."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.models.access.mfa import RecoveryCode, SpentChallenge, Totp
from app.models.access.passkey import Passkey
from app.repositories.base import BaseRepository

MAX_FAILURES = 100
"""Wrong codes in a row after which an authenticator app is refused: with three valid codes at a
time, they hit one with a probability of 0.03 %. NIST SP 800-63B-4 permits a hundred."""


class SealedSecret(NamedTuple):
    """An authenticator app's secret, encrypted, and its user."""

    user_id: int
    secret: bytes


class Factors(NamedTuple):
    """A user's second factors: whether an authenticator app counts, and the numbers of passkeys and
    of recovery codes that are left."""

    has_app: bool
    passkeys: int
    recovery_codes: int


class MfaRepository(BaseRepository[Totp]):
    model = Totp

    async def totp(self, user_id: int) -> Totp | None:
        return await self.db.scalar(select(Totp).where(Totp.user_id == user_id))

    async def methods(self, user_id: int) -> list[str]:
        """How the user can prove who they are, besides the password."""
        ways = _confirmed_totp(user_id), _unused_code(user_id), _passkey(user_id)
        row = (await self.db.execute(select(*(way.exists() for way in ways)))).one()
        names = "totp", "recovery_code", "passkey"
        return [name for name, has in zip(names, row, strict=True) if has]

    async def factors(self, user_id: int) -> Factors:
        passkeys = _passkey(user_id).with_only_columns(func.count()).scalar_subquery()
        codes = _unused_code(user_id).with_only_columns(func.count()).scalar_subquery()
        query = select(_confirmed_totp(user_id).exists(), passkeys, codes)
        return Factors(*(await self.db.execute(query)).one())

    async def has_factor(self, user_id: int) -> bool:
        """Whether the user has a second factor; recovery codes alone are none."""
        totp, passkey = _confirmed_totp(user_id), _passkey(user_id)
        return bool(await self.db.scalar(select(or_(totp.exists(), passkey.exists()))))

    async def propose(self, user_id: int, sealed: bytes, key_id: str) -> bool:
        """Store a secret that counts once it is confirmed, in place of one that was not; whether
        there was none that counts."""
        values = {"secret": sealed, "key_id": key_id, "last_step": 0, "failures": 0}
        query = insert(Totp).values(user_id=user_id, **values)
        query = query.on_conflict_do_update(
            constraint="pk_totp", set_=values, where=Totp.confirmed_at.is_(None)
        )
        return await self.db.scalar(query.returning(Totp.user_id)) is not None

    async def confirm(self, user_id: int, step: int) -> bool:
        """Have a proposed secret count, its first code used; whether it did not count before."""
        query = update(Totp).where(Totp.user_id == user_id, Totp.confirmed_at.is_(None))
        return bool(await self.changed(query.values(confirmed_at=func.now(), last_step=step)))

    async def use_step(self, user_id: int, step: int) -> bool:
        """Use the code of a time step; False where this step, or a later one, was used before, or
        too many codes were wrong. Of several at once, one succeeds."""
        unused = Totp.last_step < step, Totp.failures < MAX_FAILURES
        query = update(Totp).where(Totp.user_id == user_id, Totp.confirmed_at.is_not(None), *unused)
        return bool(await self.changed(query.values(last_step=step, failures=0)))

    async def count_failure(self, user_id: int) -> None:
        query = update(Totp).where(Totp.user_id == user_id)
        await self.changed(query.values(failures=Totp.failures + 1))

    async def forgive_failures(self, user_id: int) -> None:
        """Accept codes of the app again, after another factor has proved who the user is."""
        which = Totp.user_id == user_id, Totp.failures > 0
        await self.changed(update(Totp).where(*which).values(failures=0))

    async def remove_totp(self, user_id: int) -> bool:
        """Whether there was one, confirmed or not."""
        return bool(await self.changed(delete(Totp).where(Totp.user_id == user_id)))

    async def remove_factors(self, user_id: int) -> None:
        """Remove the authenticator app and all passkeys."""
        await self.remove_totp(user_id)
        await self.changed(delete(Passkey).where(Passkey.user_id == user_id))

    async def remove_factors_since(self, user_id: int, moment: datetime) -> int:
        """Remove those that were added from `moment` on, and an app that was only proposed; their
        number."""
        is_new = or_(Totp.confirmed_at.is_(None), Totp.confirmed_at >= moment)
        apps = await self.changed(delete(Totp).where(Totp.user_id == user_id, is_new))
        which = Passkey.user_id == user_id, Passkey.created_at >= moment
        return apps + await self.changed(delete(Passkey).where(*which))

    async def replace_recovery_codes(self, user_id: int, hashes: Sequence[bytes]) -> None:
        await self.changed(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        if hashes:
            rows = [{"user_id": user_id, "code_hash": code_hash} for code_hash in hashes]
            await self.db.execute(insert(RecoveryCode), rows)

    async def use_recovery_code(self, user_id: int, code_hash: bytes) -> bool:
        """Use a code; False where there is none, or it was used before. Of several at once, one
        succeeds."""
        which = RecoveryCode.user_id == user_id, RecoveryCode.code_hash == code_hash
        query = update(RecoveryCode).where(*which, RecoveryCode.used_at.is_(None))
        return bool(await self.changed(query.values(used_at=func.now())))

    async def spend(self, digest: bytes, expires_at: datetime) -> bool:
        """Record that a challenge was used; False where it was before. A second transaction waits
        for the end of the first."""
        query = insert(SpentChallenge).values(digest=digest, expires_at=expires_at)
        spent = query.on_conflict_do_nothing().returning(SpentChallenge.digest)
        return await self.db.scalar(spent) is not None

    async def delete_expired(self, limit: int) -> int:
        """Delete spent challenges that have expired, at most `limit`; the number of them."""
        expired = select(SpentChallenge.digest).where(SpentChallenge.expires_at < func.now())
        query = delete(SpentChallenge).where(SpentChallenge.digest.in_(expired.limit(limit)))
        return await self.changed(query)

    async def secrets_of_other_keys(
        self, key_id: str, after: int, limit: int
    ) -> list[SealedSecret]:
        """Secrets that another key has encrypted, locked until the transaction ends.

        Args:
            key_id: the key in use.
            after: id of a user; only later ones are found.
            limit: number of secrets.
        """
        which = Totp.key_id != key_id, Totp.user_id > after
        query = select(Totp.user_id, Totp.secret).where(*which)
        rows = await self.db.execute(query.order_by(Totp.user_id).limit(limit).with_for_update())
        return [SealedSecret(*row) for row in rows]

    async def reseal(self, user_id: int, sealed: bytes, key_id: str) -> None:
        query = update(Totp).where(Totp.user_id == user_id)
        await self.changed(query.values(secret=sealed, key_id=key_id))


def _confirmed_totp(user_id: int) -> Select[int]:
    return select(Totp.user_id).where(Totp.user_id == user_id, Totp.confirmed_at.is_not(None))


def _unused_code(user_id: int) -> Select[int]:
    unused = RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    return select(RecoveryCode.user_id).where(*unused)


def _passkey(user_id: int) -> Select[int]:
    return select(Passkey.user_id).where(Passkey.user_id == user_id)
