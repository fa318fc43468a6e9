"""Who is behind the admin page's cookie."""

from cachetools import TTLCache
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import AppException, UnauthorizedException
from app.core.waiting import within
from app.schemas import Principal
from app.services.session import Authenticator

GRACE = 900
"""Seconds for which somebody who was let in may go on looking while the database is away."""
MAX_KNOWN = 1024
PATIENCE = 2.0
"""Seconds that the database may take to tell who it is."""


class Visitors:
    """Lets superusers in by their cookie.

    An outage is when an admin needs the page most, and the database, which alone knows who they
    are, may be what is out: whoever this process let in a while ago may go on looking at it.
    Nobody's session can be ended meanwhile, as that needs the database as well; one that ended
    before is refused where Redis knows.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._seen: TTLCache[str, Principal] = TTLCache(MAX_KNOWN, GRACE)

    async def principal(self, token: str) -> Principal:
        """Whoever the cookie's token stands for.

        Raises:
            UnauthorizedException: it does not hold.
        """
        try:
            principal = await self._authenticator.principal(token, "page")
        except UnauthorizedException:
            self._seen.pop(token, None)
            raise
        self._seen[token] = principal
        return principal

    async def onlooker(self, token: str) -> Principal:
        """The same for a view that changes nothing; while the database is away, out of memory.

        Raises:
            UnauthorizedException: it does not hold.
        """
        try:
            return await within(PATIENCE, lambda: self.principal(token))
        except (AppException, DBAPIError, PoolTimeoutError, OSError):
            if (seen := self._seen.get(token)) is None:
                raise
            return seen
