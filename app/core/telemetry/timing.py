"""Where a request's time goes."""

from contextvars import ContextVar, Token
from time import perf_counter
from typing import Self

from starlette.types import Scope

from app.core.telemetry.requests import route_template


class Timing:
    """One request's seconds so far; those of waits side by side are added up. Within a `with` it is
    the current one.

    Args:
        scope: the request's; its route is known once one was found.
    """

    __slots__ = ("_began", "_scope", "_token", "_waited")
    _token: Token["Timing | None"]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._began = perf_counter()
        self._waited = {"db": 0.0, "cache": 0.0}

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    @property
    def total(self) -> float:
        return perf_counter() - self._began

    @property
    def route(self) -> str | None:
        return route_template(self._scope)

    def waited(self, name: str, seconds: float) -> None:
        """Add to what `name` took: db, or a Redis by its breaker's name."""
        self._waited[name] = self._waited.get(name, 0.0) + seconds

    def server_timing(self) -> str:
        """For the `Server-Timing` header: milliseconds, as browsers' tools show them."""
        parts = self._waited | {"total": self.total}
        return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in parts.items())


_current: ContextVar[Timing | None] = ContextVar("timing", default=None)


def current_timing() -> Timing | None:
    """The running request's; None outside one."""
    return _current.get()
