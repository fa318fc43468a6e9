"""`Authenticator`: finds the principal of an access token, in the cache or the database."""

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.config import AuthSettings
from app.core.exceptions import TokenRevokedException
from app.core.security import AccessToken, Actor, TokenKind, TokenSigner
from app.schemas.access.session import Impersonator, Principal
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

        Where a superuser acts as the user, both have to be: each request looks both up, in the
        cache as in the database, so that whatever ends either ends the impersonation.

        Args:
            token: as sent.
            kind: the kind that is required.

        Raises:
            UnauthorizedException: the token is malformed, forged, expired or of another kind,
                its session has ended, or its user is deleted or inactive. Of an impersonation
                also: the impersonator's own session has ended, they are no superuser any more, or
                the user has become one.
        """
        read = self._tokens.read(token, kind)
        principal = await self._find(read)
        if read.actor is None or read.of_actor is None:
            return principal
        return _impersonated(principal, await self._find(read.of_actor), read.actor)

    async def _find(self, read: AccessToken) -> Principal:
        if cached := await self._principals.get(read):
            return cached
        async with self._session_maker() as db:
            return await SessionService(db, self._principals).principal(read, self._settings)


def _impersonated(principal: Principal, impersonator: Principal, actor: Actor) -> Principal:
    if principal.is_superuser or not impersonator.is_superuser:
        raise TokenRevokedException
    acting = Impersonator(
        user_id=impersonator.user_id,
        username=impersonator.user.username,
        session_id=impersonator.session_id,
        is_read_only=actor.is_read_only,
        expires_at=actor.expires_at,
    )
    return principal.model_copy(update={"impersonator": acting})
