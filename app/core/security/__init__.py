"""Password hashing, password rules and tokens."""

from app.core.security.passwords.hashing import (
    MAX_PASSWORD_LENGTH,
    NICENESS,
    QUEUE_PER_WORKER,
    PasswordHasher,
)
from app.core.security.refresh_tokens import RefreshToken, RefreshTokenSigner
from app.core.security.tokens import (
    MAX_TOKEN_LENGTH,
    TOKEN_CACHE_SIZE,
    AccessToken,
    Actor,
    TokenKind,
    TokenSigner,
)

__all__ = [
    "MAX_PASSWORD_LENGTH",
    "MAX_TOKEN_LENGTH",
    "NICENESS",
    "QUEUE_PER_WORKER",
    "TOKEN_CACHE_SIZE",
    "AccessToken",
    "Actor",
    "PasswordHasher",
    "RefreshToken",
    "RefreshTokenSigner",
    "TokenKind",
    "TokenSigner",
]
