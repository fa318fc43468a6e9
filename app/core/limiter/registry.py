"""`limiter`: slowapi's decorators, which register the limits of endpoints.

slowapi's own check is synchronous: it would block the event loop while Redis hangs (ADR 4).
Here its decorators only register; dependencies in `app.api.limits` check.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address
from typing import Any, TypeVar

from slowapi import Limiter
from slowapi.wrappers import Limit, LimitGroup
from starlette.requests import Request

from app.core.config import LimiterSettings

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def by_address(request: Request) -> str:
    """The client's network: its IPv4 address, or the /64 that providers assign to a customer."""
    return f"address:{network_of(request.client.host if request.client else 'unknown')}"


def network_of(host: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address; other text as it is."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64)
    return str(address)


_settings: ContextVar[LimiterSettings] = ContextVar("limiter_settings")


def rate(name: str) -> Callable[[], str]:
    """A provider of the rate in the application's setting `LIMITER_<NAME>`."""

    def provide() -> str:
        value: str = getattr(_settings.get(), name)
        return value

    return provide


def _only(register: Callable[..., Any]) -> Callable[[Endpoint], Endpoint]:
    """Turn slowapi's decorator into one that registers the endpoint without wrapping it."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        def named(request: Request) -> None:
            """Stand-in for the endpoint: slowapi needs its name, and this parameter."""

        named.__module__, named.__name__ = endpoint.__module__, endpoint.__name__
        register(named)
        return endpoint

    return decorate


class LimitRegistry(Limiter):
    """slowapi's limiter, of which only the decorators are used."""

    def limit(self, *args: Any, **kwargs: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a limit with the endpoint, without wrapping it."""
        return _only(super().limit(*args, **kwargs))

    def shared_limit(self, *args: Any, **kwargs: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a limit that is counted together for all endpoints of a scope."""
        return _only(super().shared_limit(*args, **kwargs))

    def limits_of(self, request: Request, settings: LimiterSettings) -> list[Limit]:
        """The limits of the endpoint that `request` is routed to."""
        endpoint = request.scope["endpoint"]
        groups: Sequence[LimitGroup] = self._dynamic_route_limits.get(
            f"{endpoint.__module__}.{endpoint.__name__}", ()
        )
        token = _settings.set(settings)
        try:
            return [limit for group in groups for limit in group]
        finally:
            _settings.reset(token)


limiter = LimitRegistry(key_func=by_address)
