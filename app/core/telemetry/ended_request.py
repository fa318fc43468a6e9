"""`EndedRequest`: what is recorded of a request for the admin pages."""

from datetime import UTC, datetime
from typing import NamedTuple


class EndedRequest(NamedTuple):
    """A request after its answer. Nothing of its path, query, headers and bodies is recorded: they
    have names, tokens and ids.

    Attributes:
        at: when it ended, in seconds since 1970.
        id: the request id, which errors and the log have.
        method: as sent, cut off.
        route: the path template; None where no route matched.
        status: of the response.
        seconds: from its arrival to the end of its answer; of a stream, to its begin.
        actor: `user:5`, `key:…`, `anonymous`.
        impersonator_id: the superuser who acted in the user's name.
        waited: seconds by what was waited for: `db`, `pool`, and the Redis breakers.
        queries: number of statements.
        stands_for: requests of its kind among which it was chosen: 1 where all are stored.
    """

    at: float
    id: str
    method: str
    route: str | None
    status: int
    seconds: float
    actor: str
    impersonator_id: int | None
    waited: dict[str, float]
    queries: int
    stands_for: float = 1.0

    @property
    def ended_at(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def elsewhere(self) -> float:
        """Seconds that it waited for nothing of what is measured: computing, sending, and waiting
        for its turn. Parallel waits are added up, so that it is 0 at least."""
        return max(0.0, self.seconds - sum(self.waited.values()))
