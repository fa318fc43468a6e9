"""Password hashing, password rules and tokens."""

from app.core.security.hashing import (
    MAX_PASSWORD_LENGTH,
    NICENESS,
    QUEUE_PER_WORKER,
    PasswordHasher,
)
from app.core.security.refresh_tokens import RefreshToken, RefreshTokenSigner
from app.core.security.tokens import (
    MAX_TOKEN_LENGTH,
    REMEMBERED_TOKENS,
    AccessToken,
    TokenKind,
    TokenSigner,
)

__all__ = [
    "MAX_PASSWORD_LENGTH",
    "MAX_TOKEN_LENGTH",
    "NICENESS",
    "QUEUE_PER_WORKER",
    "REMEMBERED_TOKENS",
    "AccessToken",
    "PasswordHasher",
    "RefreshToken",
    "RefreshTokenSigner",
    "TokenKind",
    "TokenSigner",
]
