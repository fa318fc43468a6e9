"""Queries on sessions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, literal, or_, select, true, update
from sqlalchemy.orm import aliased, contains_eager

from app.core.device import Device
from app.core.pagination import Page, PageParams
from app.database import locks
from app.models import Session, User
from app.repositories.access.role import roles_of
from app.repositories.base import BaseRepository

MAX_DEVICES = 200
"""Sessions of a user, the newest ones, whose devices count as known."""
_NEWEST = (
    select(literal(1).label("one"), Session.user_agent, Session.address)
    .where(Session.user_id == bindparam("user"), Session.impersonator_id.is_(None))
    .order_by(Session.created_at.desc())
    .limit(MAX_DEVICES)
    .subquery()
)
# Distinct: a program that logs in for each run has many sessions of one device.
_DEVICES = (
    select(User.email, User.created_at, _NEWEST)
    .outerjoin(_NEWEST, true())
    .where(User.id == bindparam("user"))
    .distinct()
)
_LIVE = Session.ended_at.is_(None), Session.expires_at > func.now()


class LiveSession(NamedTuple):
    """A session, with the permissions of each of its user's roles by its id."""

    session: Session
    roles: Mapping[str, Sequence[str]]


class Known(NamedTuple):
    """Devices of a user, with the email and the time of creation of the user."""

    email: str
    created_at: datetime
    devices: Sequence[Device]


class SessionRepository(BaseRepository[Session]):
    model = Session

    async def begin(self, session: Session) -> None:
        """Insert a session. It has no unique values but its id: no savepoint is needed."""
        self.db.add(session)
        await self.flush()

    async def devices_of(self, user_id: int) -> Known:
        """The devices of a user's newest sessions, also of those that are over."""
        rows = (await self.db.execute(_DEVICES, {"user": user_id})).all()
        devices = [Device(row.user_agent, row.address) for row in rows if row.one is not None]
        return Known(rows[0].email, rows[0].created_at, devices)

    async def live_with_user(self, session_id: UUID, user_id: int) -> LiveSession | None:
        """A user's live session with the user and their roles, if they are active."""
        query = (
            select(Session, roles_of(User.id))
            .join(Session.user)
            .options(contains_eager(Session.user))
            .where(Session.id == session_id, User.id == user_id, *_LIVE, User.is_active)
        )
        row = (await self.db.execute(query)).one_or_none()
        return None if row is None else LiveSession(row[0], row[1] or {})

    async def live_of(self, user_id: int, params: PageParams) -> Page[Session]:
        """A page of a user's live sessions, the one used last first. An impersonation is over if
        the impersonator's own session is."""
        own = aliased(Session)
        lives = select(own.id).where(
            own.id == Session.impersonator_session_id,
            own.ended_at.is_(None),
            own.expires_at > func.now(),
        )
        is_shown = or_(Session.impersonator_id.is_(None), lives.exists())
        query = select(Session).where(Session.user_id == user_id, *_LIVE, is_shown)
        return await self.paginate(query.order_by(Session.last_seen_at.desc(), Session.id), params)

    async def lock_live(self, session_id: UUID) -> Session | None:
        """Lock a live session of an active user until the transaction ends; an impersonation is
        not found, since it is never renewed."""
        query = (
            select(Session)
            .join(User, Session.user_id == User.id)
            .where(Session.id == session_id, *_LIVE, User.is_active)
            .where(Session.impersonator_id.is_(None))
            .with_for_update(of=Session)
        )
        return await self.db.scalar(query)

    async def end(self, session_id: UUID, user_id: int) -> bool:
        """End a user's session; whether it was live."""
        return bool(await self._end(Session.id == session_id, Session.user_id == user_id))

    async def impersonation_reason(self, session_id: UUID) -> str | None:
        """Why a session was begun in another's name; None for an ordinary one."""
        query = select(Session.impersonation_reason).where(Session.id == session_id)
        return await self.db.scalar(query)

    async def was_ended(self, session_id: UUID) -> bool:
        """Whether a session was ended before it expired, or is purged by now."""
        query = select(Session.ended_at.is_(None)).where(Session.id == session_id)
        return not await self.db.scalar(query)

    async def end_all(self, user_id: int, but: UUID | None = None) -> int:
        """End a user's sessions, all or all but one; the number of them."""
        spared = () if but is None else (Session.id != but,)
        return await self._end(Session.user_id == user_id, *spared)

    async def _end(self, *which: ColumnElement[bool]) -> int:
        # Counted, not named: a user may have a hundred thousand.
        query = update(Session).where(*which, Session.ended_at.is_(None))
        return await self.changed(query.values(ended_at=func.now()))

    async def touch(self, session_id: UUID, expires_at: datetime | None = None) -> None:
        """Set that a session is in use now, and if given, when it expires."""
        in_use = {Session.last_seen_at: func.now()}
        renewed = {} if expires_at is None else {Session.expires_at: expires_at}
        query = update(Session).where(Session.id == session_id).values({**in_use, **renewed})
        await self.db.execute(query)

    async def is_confirmed(self, session_id: UUID, within: timedelta) -> bool:
        """Whether the user has logged in, or confirmed, in a session not longer ago than this."""
        moment = func.coalesce(Session.confirmed_at, Session.created_at)
        query = select(Session.id).where(
            Session.id == session_id, *_LIVE, Session.impersonator_id.is_(None)
        )
        return await self.db.scalar(query.where(moment > func.now() - within)) is not None

    async def confirm(self, session_id: UUID, method: str) -> None:
        """Record that the user has confirmed a session just now, by this method of `amr`."""
        await self.add_method(session_id, method)
        query = update(Session).where(Session.id == session_id)
        await self.changed(query.values(confirmed_at=func.now()))

    async def add_method(self, session_id: UUID, method: str) -> None:
        """Record a method of `amr` without a confirmation."""
        query = update(Session).where(Session.id == session_id)
        amr = func.array_append(func.array_remove(Session.amr, method), method)
        await self.changed(query.values(amr=amr))

    async def lock_purge(self) -> bool:
        """Lock the purge until the transaction ends; whether no other transaction has it."""
        return bool(await self.db.scalar(select(func.pg_try_advisory_xact_lock(locks.PURGE))))

    async def delete_over_before(self, moment: datetime, limit: int) -> int:
        """Delete sessions that ended or expired before `moment`, at most `limit`; the number of
        them."""
        is_over = or_(Session.ended_at < moment, Session.expires_at < moment)
        return await self.delete_some(is_over, limit=limit)
