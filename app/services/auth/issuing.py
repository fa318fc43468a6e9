"""`SessionIssuer`: begins sessions, and issues their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.core.config import AuthSettings
from app.core.device import Device
from app.core.origin import Origin
from app.core.security import TokenSigner
from app.models import Session
from app.repositories.session import SessionRepository
from app.schemas.audit import Action, Target
from app.services.audit.recorder import AuditRecorder
from app.services.session import expiry


@dataclass(frozen=True, slots=True)
class Tokens:
    """Result of a login or refresh.

    Attributes:
        expires_in: lifetime of the access token in seconds.
        mfa_enrolment_required: whether the user has to set up a second factor first.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    mfa_enrolment_required: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A new session."""

    user_id: int
    session_id: UUID
    refresh_token: str
    mfa_enrolment_required: bool = False


class SessionIssuer:
    """Begins sessions in the caller's transaction.

    Args:
        sessions: of the caller.
        signer: signs the tokens.
        settings: lifetimes of sessions.
    """

    def __init__(
        self, sessions: SessionRepository, signer: TokenSigner, settings: AuthSettings
    ) -> None:
        self._sessions = sessions
        self._audit = AuditRecorder(sessions.db)
        self._signer = signer
        self._settings = settings

    async def begin(self, user_id: int, device: Device, amr: Sequence[str] = ("pwd",)) -> Begun:
        """Begin a session.

        Args:
            user_id: of a user whose row is locked, so that any later end includes this session.
            device: of the client.
            amr: how the user was authenticated, in words of RFC 8176.
        """
        session_id = uuid4()
        refresh_token = self._signer.refresh.new(session_id)
        await self._sessions.begin(
            Session(
                id=session_id,
                user_id=user_id,
                refresh_hash=self._signer.refresh.read(refresh_token).hash,
                user_agent=device.user_agent and device.user_agent[:255],
                address=device.address,
                expires_at=expiry(self._settings, datetime.now(UTC)),
                amr=list(amr),
            )
        )
        self._audit.record(
            Action.SESSION_STARTED,
            Target("session", session_id),
            user_id=user_id,
            after={"user_agent": device.user_agent, "amr": list(amr)},
            by=Origin("user", user_id, address=device.address),
        )
        return Begun(user_id, session_id, refresh_token)

    def tokens(self, begun: Begun) -> Tokens:
        access_token = self._signer.sign(begun.user_id, begun.session_id)
        ttl, enrols = self._signer.access_ttl, begun.mfa_enrolment_required
        return Tokens(access_token, begun.refresh_token, ttl, enrols)

    def page_token(self, begun: Begun) -> str:
        """The token for the cookie of the admin pages."""
        return self._signer.sign(begun.user_id, begun.session_id, "page")
