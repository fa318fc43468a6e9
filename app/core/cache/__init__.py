"""Remembered answers: fastapi-cache2, made right (decision 5)."""

from app.core.cache.answers import AnswerCache, Entry, invalidate_cache
from app.core.cache.decorator import Unkeyed, cache
from app.core.cache.stores import MemoryStore, RedisStore, Store

__all__ = [
    "AnswerCache",
    "Entry",
    "MemoryStore",
    "RedisStore",
    "Store",
    "Unkeyed",
    "cache",
    "invalidate_cache",
]
