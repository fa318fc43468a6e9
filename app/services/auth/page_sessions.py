"""Who is behind the admin page's cookie."""

from cachetools import TTLCache
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import (
    AppException,
    ServiceUnavailableException,
    UnauthorizedException,
)
from app.core.timeouts import with_timeout
from app.schemas.session import Principal
from app.services.monitoring.health import HealthService
from app.services.principals import Concerns, PrincipalCache
from app.services.session import Authenticator

GRACE = 900
"""Seconds for which somebody who was let in may go on looking while the database is away."""
MAX_KNOWN = 1024
PATIENCE = 2.0
"""Seconds that the database may take to tell who it is."""


class Visitors:
    """Lets superusers in by their cookie.

    An outage is when an admin needs the overview most, and the database, which alone knows who they
    are, may be what is out: whoever this process let in a while ago may go on looking at it.
    A database that is slow is not out: it knows of ends, and is waited for. Whose session this
    process saw end, or who changed, is forgotten at once; of an end in another process it knows by
    Redis alone.
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
        """Whoever the cookie's token stands for.

        Raises:
            UnauthorizedException: it does not hold.
        """
        ends = self._ends
        try:
            principal = await self._authenticator.principal(token, "page")
        except UnauthorizedException:
            self._seen.pop(token, None)
            raise
        if ends == self._ends:  # else it may be this very session that ended since it was read
            self._seen[token] = principal
        return principal

    async def onlooker(self, token: str) -> Principal:
        """The same for the overview; while the database is away, out of memory.

        Raises:
            UnauthorizedException: it does not hold.
            ServiceUnavailableException: the database is slow, or away and this process did not let
                them in a while ago.
        """
        try:
            return await with_timeout(PATIENCE, lambda: self.principal(token))
        except (AppException, DBAPIError, PoolTimeoutError, OSError) as error:
            is_outage = token in self._seen and await self._health.is_database_away()
            seen = self._seen.get(token)  # after the check: it may have ended meanwhile
            if is_outage and seen is not None:
                return seen
            if isinstance(error, TimeoutError):
                raise ServiceUnavailableException from error
            raise

    def _forget(self, concerns: Concerns) -> None:
        self._ends += 1
        for token in list(self._seen):
            if (seen := self._seen.get(token)) is not None and concerns(seen):
                self._seen.pop(token, None)
