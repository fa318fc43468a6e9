"""Origin of a change: who acts, and from which address. A context variable, as the request id is.

The front doors set it: the access log for requests, the callback of `backend` for commands, the
executor for jobs. Authentication names the user. The audit trail reads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

ActorKind = Literal["anonymous", "user", "key", "command", "job"]


@dataclass(slots=True)
class Origin:
    """Who acts.

    Attributes:
        kind: of the actor.
        id: of the user or key; the name of the command or job.
        name: of the user or key, as people know it.
        address: IP address of the client.
        impersonator_id: the superuser who acts in the user's name.
        refusals: events that a service recorded of a refusal, which has no transaction. Those of a
            request are written after it.
    """

    kind: ActorKind = "anonymous"
    id: int | str | None = None
    name: str | None = None
    address: str | None = None
    impersonator_id: int | None = None
    refusals: list[dict[str, Any]] = field(default_factory=list)

    @property
    def actor(self) -> str:
        """`user:5`, `job:send-mail`, `anonymous`."""
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current_origin() -> Origin:
    """The current origin. A process that set none is taken for a command."""
    return _current.get() or Origin("command")


@contextmanager
def acting_as(origin: Origin) -> Iterator[Origin]:
    """Make `origin` the current one."""
    token = _current.set(origin)
    try:
        yield origin
    finally:
        _current.reset(token)


def authenticated_as(
    kind: ActorKind, actor_id: int | str, name: str | None, impersonator_id: int | None = None
) -> None:
    """Set who the client of the current request is."""
    if (origin := _current.get()) is not None:
        origin.kind, origin.id, origin.name = kind, actor_id, name
        origin.impersonator_id = impersonator_id
