"""`SessionIssuer`: begins sessions, and issues their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.core.config import AuthSettings
from app.core.device import Device, device_in_words, is_known
from app.core.origin import Origin
from app.core.security import TokenSigner
from app.core.security.known_devices import KnownDevices
from app.models import Session
from app.repositories.session import SessionRepository
from app.repositories.user.activity import UserActivityRepository
from app.repositories.user.repository import Credentials
from app.schemas.audit import Action, Target
from app.services.account.notices import Notices
from app.services.audit.recorder import AuditRecorder
from app.services.session import RETENTION, expiry


@dataclass(frozen=True, slots=True)
class Tokens:
    """Result of a login or refresh.

    Attributes:
        expires_in: lifetime of the access token in seconds.
        mfa_enrolment_required: whether the user has to set up a second factor first.
        device_token: of a login, see `KnownDevices`; None after a refresh.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    mfa_enrolment_required: bool = False
    device_token: str | None = None


@dataclass(frozen=True, slots=True)
class PageLogin:
    """Result of a login to the pages.

    Attributes:
        token: for the session's cookie.
        device_token: see `KnownDevices`.
    """

    token: str
    device_token: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A new session."""

    user_id: int
    session_id: UUID
    refresh_token: str
    device_token: str = ""
    mfa_enrolment_required: bool = False


class SessionIssuer:
    """Begins sessions in the caller's transaction.

    Args:
        sessions: of the caller.
        signer: signs the tokens.
        settings: lifetimes of sessions.
        sends_mail: whether the service sends mail. Without, nobody looks whether a device is new.
    """

    def __init__(
        self,
        sessions: SessionRepository,
        signer: TokenSigner,
        settings: AuthSettings,
        *,
        sends_mail: bool,
    ) -> None:
        self._sessions = sessions
        self._activity = UserActivityRepository(sessions.db)
        self._audit = AuditRecorder(sessions.db)
        self._notices = Notices(sessions.db, is_on=sends_mail)
        self._sends_mail = sends_mail
        self._signer = signer
        self._devices = KnownDevices(signer)
        self._settings = settings

    async def begin(
        self, user: Credentials, device: Device, amr: Sequence[str] = ("pwd",)
    ) -> Begun:
        """Begin a session, and mail the user where its device is new.

        Args:
            user: whose row is locked, so that any later end includes this session.
            device: of the client.
            amr: how the user was authenticated, in words of RFC 8176.
        """
        user_id = user.id
        stranger_to = await self._stranger_to(user_id, device) if self._sends_mail else None
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
        await self._activity.record(user_id)
        self._audit.record(
            Action.SESSION_STARTED,
            Target("session", session_id),
            user_id=user_id,
            after={"user_agent": device.user_agent, "amr": list(amr)},
            by=Origin("user", user_id, address=device.address),
        )
        if stranger_to is not None:
            words = device_in_words(device.user_agent)
            facts = {"device": words, "address": device.address or "unknown"}
            await self._notices.send("new-login", user_id, stranger_to, **facts)
        device_token = self._devices.token(user_id, user.hashed_password)
        return Begun(user_id, session_id, refresh_token, device_token)

    async def _stranger_to(self, user_id: int, device: Device) -> str | None:
        """The email of the user if the device is new. The first login of an account is the owner's;
        an account that is older than sessions are kept had others."""
        known = await self._sessions.devices_of(user_id)
        if not known.devices and known.created_at > datetime.now(UTC) - RETENTION:
            return None
        return None if is_known(device, known.devices) else known.email

    def tokens(self, begun: Begun) -> Tokens:
        access_token = self._signer.sign(begun.user_id, begun.session_id)
        ttl, enrols = self._signer.access_ttl, begun.mfa_enrolment_required
        device_token = begun.device_token or None
        return Tokens(access_token, begun.refresh_token, ttl, enrols, device_token)

    def page_login(self, begun: Begun) -> PageLogin:
        """The tokens for the cookies of the pages."""
        token = self._signer.sign(begun.user_id, begun.session_id, "page")
        return PageLogin(token, begun.device_token)
