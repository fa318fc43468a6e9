"""Cache of function results: a backend of fastapi-cache2 (ADR 7)."""

from app.core.cache.decorator import Unkeyed, cache, cached_response
from app.core.cache.results import CacheMode, Entry, ResultCache, invalidate_cache
from app.core.cache.stores import MemoryStore, RedisStore, Store

__all__ = [
    "CacheMode",
    "Entry",
    "MemoryStore",
    "RedisStore",
    "ResultCache",
    "Store",
    "Unkeyed",
    "cache",
    "cached_response",
    "invalidate_cache",
]
