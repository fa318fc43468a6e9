"""Authentication of the admin pages by session cookie, also while the database is down."""

from cachetools import TTLCache

from app.core.exceptions import (
    AppException,
    ServiceUnavailableException,
    UnauthorizedException,
)
from app.core.timeouts import with_timeout
from app.database import translated_errors
from app.schemas.access.session import Principal
from app.services.auth.authenticator import Authenticator
from app.services.monitoring.health import HealthService
from app.services.principals import PrincipalCache, PrincipalPredicate

GRACE = 900
"""Seconds for which a superuser who was authenticated may go on reading while the database is down.
"""
MAX_KNOWN = 1024
LOOKUP_TIMEOUT = 2.0
"""Seconds that the database may take to look a session up."""


class PageSessions:
    """Authenticates users by the token in their cookie.

    An outage is when an admin needs the overview most, and the database, which alone knows
    sessions, may be what is down: principals that this process authenticated a while ago are
    cached, and may go on reading the overview. A database that is slow is not down: it knows which
    sessions have ended, and is waited for. Sessions and users that this process saw end or change
    are dropped from the cache at once; of those that ended in another process Redis alone knows.
    """

    def __init__(
        self, authenticator: Authenticator, principals: PrincipalCache, health: HealthService
    ) -> None:
        self._authenticator = authenticator
        self._health = health
        self._seen: TTLCache[str, Principal] = TTLCache(MAX_KNOWN, GRACE)
        self._ends = 0
        principals.on_forgetting.append(self._forget)

    async def principal(self, token: str) -> Principal:
        """The principal behind a cookie's token.

        Raises:
            UnauthorizedException: it is not valid, or the session has ended.
        """
        ends = self._ends
        try:
            with translated_errors():
                principal = await self._authenticator.principal(token, "page")
        except UnauthorizedException:
            self._seen.pop(token, None)
            raise
        # Else it may be this very session that ended since it was read. Plain users cannot read the
        # overview, and would take the room of those who can. An impersonation also ends with the
        # impersonator's session, which `_forget` does not look for.
        may_read_on = principal.may_use_admin_pages and principal.impersonator is None
        if ends == self._ends and may_read_on:
            self._seen[token] = principal
        return principal

    async def principal_during_outage(self, token: str) -> Principal:
        """The same for the overview; while the database is down, from the cache.

        Raises:
            UnauthorizedException: see `principal`.
            ServiceUnavailableException: the database is slow, or down and the principal is not in
                the cache.
        """
        try:
            return await with_timeout(LOOKUP_TIMEOUT, lambda: self.principal(token))
        except (AppException, OSError) as error:
            is_outage = token in self._seen and await self._health.is_database_away()
            seen = self._seen.get(token)  # after the check: it may have ended meanwhile
            if is_outage and seen is not None:
                return seen
            if isinstance(error, TimeoutError):
                raise ServiceUnavailableException from error
            raise

    def seen(self, token: str) -> Principal | None:
        """The principal that this process authenticated a while ago: enough for the frame of a page
        that says what is wrong, and for nothing else."""
        return self._seen.get(token)

    def _forget(self, matches: PrincipalPredicate) -> None:
        self._ends += 1
        for token in list(self._seen):
            if (seen := self._seen.get(token)) is not None and matches(seen):
                self._seen.pop(token, None)
