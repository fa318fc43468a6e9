"""Cache of computed answers, a backend of fastapi-cache2 (ADR 7)."""

from app.core.cache.answers import AnswerCache, CacheMode, Entry, invalidate_cache
from app.core.cache.decorator import Unkeyed, cache, cached_response
from app.core.cache.stores import MemoryStore, RedisStore, Store

__all__ = [
    "AnswerCache",
    "CacheMode",
    "Entry",
    "MemoryStore",
    "RedisStore",
    "Store",
    "Unkeyed",
    "cache",
    "cached_response",
    "invalidate_cache",
]
