"""Access tokens, and those in the admin page's cookie."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

from jose import jwt

from app.core.config import AuthSettings
from app.core.exceptions import UnauthorizedException
from app.core.security import base64url
from app.core.security.refresh_tokens import RefreshTokenSigner

TokenKind = Literal["access", "page"]
"""Where a token counts: in the `Authorization` header, or in the admin page's cookie."""

MAX_TOKEN_LENGTH = 4096
"""Characters; ours have about 400. Longer ones are not even decoded."""
REMEMBERED_TOKENS = 4096
"""Tokens whose signature a process need not verify again: about 3 MB. Decoding takes 0.2 ms."""

_ISSUER = "backend-api"
_ALGORITHM = "HS256"
_REQUIRED = ("exp", "iat", "sub", "iss", "aud")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid token says: whose it is, of which session, and where it counts."""

    user_id: int
    session_id: UUID
    kind: TokenKind = "access"


class TokenSigner:
    """Access tokens, and those in the admin page's cookie: JWTs, HS256 and nothing else.

    Args:
        secret_key: 32 characters or more; it signs.
        settings: how long tokens are valid, and whose signatures are accepted as well.

    Attributes:
        refresh: makes and reads the tokens that are exchanged for these.
    """

    def __init__(self, secret_key: str, settings: AuthSettings) -> None:
        self._keys = [secret_key, *settings.accepted_keys()]
        self.refresh = RefreshTokenSigner(secret_key, settings.accepted_keys())
        self.access_ttl = settings.access_ttl
        # Nothing renews a cookie's token: it holds as long as its session may.
        self._ttl: dict[TokenKind, int] = {
            "access": settings.access_ttl,
            "page": settings.session_ttl,
        }
        self._verified = lru_cache(maxsize=REMEMBERED_TOKENS)(self._verify)

    def sign(self, user_id: int, session_id: UUID, kind: TokenKind = "access") -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "typ": kind,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "exp": now + timedelta(seconds=self._ttl[kind]),
        }
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def read(self, token: str, kind: TokenKind = "access") -> AccessToken:
        """What `token` says.

        Its signature is verified once; that it has not expired, each time.

        Raises:
            UnauthorizedException: for any fault whatever, being of another kind included; which
                one is nobody's business.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise UnauthorizedException("Invalid token")
        try:
            read, expires = self._verified(token)
        except Exception as error:  # jose raises far more than JWTError on malformed input
            raise UnauthorizedException("Invalid token") from error
        if expires <= time.time() or read.kind != kind:
            raise UnauthorizedException("Invalid token")
        return read

    def _verify(self, token: str) -> tuple[AccessToken, float]:
        """What it says, and when it expires (Unix time)."""
        for part in token.split("."):
            base64url.decode(part)  # which jose does by a decoder that takes other spellings too
        claims = jwt.decode(
            token,
            self._keys,
            algorithms=[_ALGORITHM],
            audience=_ISSUER,
            issuer=_ISSUER,
            options={f"require_{claim}": True for claim in _REQUIRED},
        )
        if claims["typ"] not in self._ttl:
            raise ValueError("no kind of token that we sign")
        read = AccessToken(int(claims["sub"]), UUID(claims["sid"]), claims["typ"])
        return read, float(claims["exp"])
