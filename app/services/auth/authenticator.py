"""`Authenticator`: finds the principal of an access token, in the cache or the database."""

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.config import AuthSettings
from app.core.security import TokenKind, TokenSigner
from app.schemas.access.session import Principal
from app.services.principals import PrincipalCache
from app.services.session import SessionService


class Authenticator:
    """Finds the principal of a token. It lives as long as the process, and opens a database session
    only where the cache has no principal."""

    def __init__(
        self,
        session_maker: async_sessionmaker[AsyncSession],
        tokens: TokenSigner,
        principals: PrincipalCache,
        settings: AuthSettings,
    ) -> None:
        self._session_maker = session_maker
        self._tokens = tokens
        self._principals = principals
        self._settings = settings

    async def principal(self, token: str, kind: TokenKind = "access") -> Principal:
        """An active user in a live session; without a query while they are cached.

        Args:
            token: as sent.
            kind: the kind that is required.

        Raises:
            UnauthorizedException: the token is malformed, forged, expired or of another kind,
                its session has ended, or its user is deleted or inactive.
        """
        read = self._tokens.read(token, kind)
        if cached := await self._principals.get(read):
            return cached
        async with self._session_maker() as db:
            return await SessionService(db, self._principals).principal(read, self._settings)
