"""`ReplicaReads`: `Reads` on replicas, or on the primary."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import DatabaseSettings
from app.core.telemetry.metrics import REPLICA_READS
from app.database.reads import Reads
from app.database.replicas.replicas import Replicas


def list_reads(engine: AsyncEngine, settings: DatabaseSettings, replicas: Replicas | None) -> Reads:
    """Reads for lists, on replicas where there are any.

    Args:
        engine: of the primary.
        settings: tell whether there is a pooler.
        replicas: to choose from.
    """
    if replicas is None:
        return Reads(engine, settings)
    return ReplicaReads(engine, settings, replicas)


class ReplicaReads(Reads):
    """Runs statements on a replica that has the caller's own writes, or on the primary.

    Args:
        engine: of the primary.
        settings: tell whether there is a pooler.
        replicas: to choose from.
    """

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings, replicas: Replicas) -> None:
        super().__init__(engine, settings)
        self._replicas = replicas

    async def rows(
        self,
        statement: Executable,
        values: Mapping[str, object] | None = None,
        *,
        within: float | None = None,
    ) -> Sequence[Row[Any]]:
        on_primary = super().rows
        return await self._replicas.run(
            lambda replica: replica.lists.rows(statement, values, within=within),
            lambda: on_primary(statement, values, within=within),
        )

    async def batches(self, statement: Executable, size: int) -> AsyncGenerator[Sequence[Row[Any]]]:
        """See `Reads.batches`. A replica that fails before the first rows is replaced by the
        primary; later that is impossible, since all rows are of one moment."""
        replica = await self._replicas.choose()
        if replica is not None:
            async with aclosing(replica.exports.batches(statement, size)) as batches:
                try:
                    first = await replica.within_time(lambda: anext(batches, None))
                except Exception as error:  # noqa: BLE001  # the primary reports its own errors
                    self._replicas.failed(replica, error)
                else:
                    REPLICA_READS.labels(replica.name).inc()
                    if first is not None:
                        yield first
                    async for batch in batches:
                        yield batch
                    return
        async with aclosing(super().batches(statement, size)) as batches:
            async for batch in batches:
                yield batch
