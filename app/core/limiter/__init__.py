"""Rate limits: slowapi's decorators, and the counter of hits."""

from app.core.limiter.hit_counter import HitCounter, parsed
from app.core.limiter.registry import by_address, limiter, network_of, rate

__all__ = ["HitCounter", "by_address", "limiter", "network_of", "parsed", "rate"]
