"""Access tokens of the API and of the admin pages' cookie."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from jose import jwt

from app.core.config import AuthSettings
from app.core.exceptions import TokenExpiredException, TokenInvalidException
from app.core.security import base64url
from app.core.security.refresh_tokens import RefreshTokenSigner

TokenKind = Literal["access", "page", "mfa", "device"]
"""Where a token is valid: in the `Authorization` header, in the admin pages' cookie, in the second
step of a login, where it has no session yet, or as the proof of a known device."""
MFA_TTL = 300
"""Seconds between the two steps of a login."""

MAX_TOKEN_LENGTH = 4096
"""In characters; ours have about 400. Longer ones are not decoded."""
TOKEN_CACHE_SIZE = 4096
"""Size of the cache of verified tokens, about 3 MB. Verification takes 0.2 ms."""

_ISSUER = "backend-api"
_ALGORITHM = "HS256"
_READ = "read"
_ACTING = "+act"
"""Added to the type of a token with an actor: a release that does not know of actors, and so would
take it for the user's own, refuses the type."""
_REQUIRED = ("iat", "sub", "iss", "aud")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts as the user of a token: the `act` claim of RFC 8693.

    Attributes:
        user_id: the superuser.
        session_id: the superuser's own session, by which the impersonation was begun.
        is_read_only: whether the token is for safe methods alone.
        expires_at: expiry of the token, and so of the impersonation.
    """

    user_id: int
    session_id: UUID
    is_read_only: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Contents of a valid token.

    Attributes:
        session_id: of an `mfa` token, the id of the attempt to log in; of a `device` token, that of
            the device.
        binding: of these two, what else the token is bound to.
        actor: where a superuser acts as the user.
    """

    user_id: int
    session_id: UUID
    kind: TokenKind = "access"
    binding: str = ""
    actor: Actor | None = None

    @property
    def of_actor(self) -> "AccessToken | None":
        """Contents of a token of the actor's own session."""
        if self.actor is None:
            return None
        return AccessToken(self.actor.user_id, self.actor.session_id, self.kind)


class TokenSigner:
    """Signs and verifies access tokens: JWTs with HS256 only.

    Args:
        secret_key: signing key, 32 characters or more.
        settings: lifetimes of tokens, and further accepted keys.

    Attributes:
        refresh: issues and authenticates refresh tokens.
    """

    def __init__(self, secret_key: str, settings: AuthSettings) -> None:
        self._keys = [secret_key, *settings.accepted_keys()]
        self.refresh = RefreshTokenSigner(secret_key, settings.accepted_keys())
        self.access_ttl = settings.access_ttl
        # A cookie's token is never renewed: it is valid as long as its session may be.
        self._ttl: dict[TokenKind, int] = {
            "access": settings.access_ttl,
            "page": settings.session_ttl,
            "mfa": MFA_TTL,
            "device": settings.device_ttl,
        }
        self._verified = lru_cache(maxsize=TOKEN_CACHE_SIZE)(self._verify)

    def sign(
        self, user_id: int, session_id: UUID, kind: TokenKind = "access", binding: str = ""
    ) -> str:
        now = datetime.now(UTC)
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "typ": kind,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "exp": now + timedelta(seconds=self._ttl[kind]),
        }
        if binding:
            claims["bnd"] = binding
        return self._encode(claims)

    def sign_for(
        self, actor: Actor, user_id: int, session_id: UUID, kind: TokenKind = "access"
    ) -> str:
        """A token of `user_id` for `actor`, until `actor.expires_at`."""
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "typ": kind + _ACTING,
            "sub": str(user_id),
            "sid": str(session_id),
            "act": {"sub": str(actor.user_id), "sid": str(actor.session_id)},
            "scope": _READ if actor.is_read_only else f"{_READ} write",
            "iat": datetime.now(UTC),
            "exp": actor.expires_at,
        }
        return self._encode(claims)

    def _encode(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def read(self, token: str, kind: TokenKind = "access") -> AccessToken:
        """The contents of `token`. The signature is verified once, the expiry each time.

        Raises:
            TokenExpiredException: the token is authentic, of this kind, and expired.
            TokenInvalidException: it is invalid otherwise; the message does not say how.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenInvalidException
        try:
            read, expires = self._verified(token)
        except Exception as error:  # jose raises far more than JWTError on malformed input
            raise TokenInvalidException from error
        if read.kind != kind:
            raise TokenInvalidException
        if expires <= time.time():
            raise TokenExpiredException
        return read

    def _verify(self, token: str) -> tuple[AccessToken, int]:
        """Contents of `token`, and its expiry (Unix time)."""
        for part in token.split("."):
            base64url.decode(part)  # jose's decoder also accepts non-canonical spellings
        claims = jwt.decode(
            token,
            self._keys,
            algorithms=[_ALGORITHM],
            audience=_ISSUER,
            issuer=_ISSUER,
            # `read` checks the expiry, each time, with an error of its own.
            options={f"require_{claim}": True for claim in _REQUIRED} | {"verify_exp": False},
        )
        kind = claims["typ"]
        actor = _actor(claims) if "act" in claims else None
        if actor is not None:
            kind, mark = kind[: -len(_ACTING)], kind[-len(_ACTING) :]
            if mark != _ACTING:
                raise ValueError("an actor in a token of another kind")
        if kind not in self._ttl:
            raise ValueError("unknown kind of token")
        session_id, binding = UUID(claims["sid"]), claims.get("bnd", "")
        read = AccessToken(int(claims["sub"]), session_id, kind, binding, actor)
        return read, int(claims["exp"])


def _actor(claims: dict[str, Any]) -> Actor:
    actor, expires_at = claims["act"], datetime.fromtimestamp(int(claims["exp"]), UTC)
    is_read_only = claims["scope"] == _READ
    return Actor(int(actor["sub"]), UUID(actor["sid"]), is_read_only, expires_at)
