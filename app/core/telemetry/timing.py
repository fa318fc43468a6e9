"""Timing of a request: total, and time spent in the database, its pool and Redis."""

from contextvars import ContextVar, Token
from time import perf_counter
from typing import Self

from starlette.types import Scope

from app.core.telemetry.request_counters import route_template


class Timing:
    """Seconds spent by one request; parallel waits are added up. A `with` block makes it current.

    Args:
        scope: of the request; contains the route once it is matched.

    Attributes:
        waits: seconds by what was waited for.
        queries: number of statements.
    """

    __slots__ = ("_began", "_scope", "_token", "queries", "waits")
    _token: Token["Timing | None"]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._began = perf_counter()
        self.waits = {"db": 0.0, "cache": 0.0}
        self.queries = 0

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
        """Add seconds to `name`: `db`, `pool`, or the name of a Redis breaker."""
        self.waits[name] = self.waits.get(name, 0.0) + seconds

    def queried(self, seconds: float) -> None:
        """Count a statement that took so long."""
        self.queries += 1
        self.waits["db"] += seconds

    def server_timing(self) -> str:
        """Value of the `Server-Timing` header, in milliseconds."""
        parts = self.waits | {"total": self.total}
        return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in parts.items())


_current: ContextVar[Timing | None] = ContextVar("timing", default=None)


def current_timing() -> Timing | None:
    """The timing of the running request; None outside of one."""
    return _current.get()
