"""`Reads`: runs read-only statements on a connection, without an ORM session."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Row, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from app.core.config import DatabaseSettings
from app.database.errors import DRIVER_ERRORS, translate_driver, translated_errors
from app.database.servers.failover import begin_on_primary


class Reads:
    """Runs each statement on a connection of its own, which goes back to the pool after it.

    For frequent statements that change nothing: a session costs as much as the statement, and its
    identity map is of no use here. `rows` begins no transaction either, which saves the round trips
    of BEGIN and ROLLBACK; no two statements see the same moment. Behind a pooler a transaction is
    begun all the same, since our settings come with it.

    Args:
        engine: whose pool it uses.
        settings: tell whether there is a pooler.
        is_primary: whether batches have to be of a primary.
    """

    def __init__(
        self, engine: AsyncEngine, settings: DatabaseSettings, *, is_primary: bool = True
    ) -> None:
        self._engine = engine
        self._is_primary = is_primary
        if not settings.is_pooled:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sync_engine = engine.sync_engine

    async def rows(
        self,
        statement: Executable,
        values: Mapping[str, object] | None = None,
        *,
        within: float | None = None,
    ) -> Sequence[Row[Any]]:
        """All rows of `statement`.

        Args:
            statement: that changes nothing.
            values: of its parameters.
            within: seconds after which the server cancels it, at the cost of a transaction.

        Raises:
            StatementTimeoutException: it took longer than `within`.
        """
        # One switch to SQLAlchemy's synchronous side for everything; its asyncio classes make one
        # to connect, one to run the statement and one to close.
        if within is None:
            return await greenlet_spawn(self._rows, statement, values)
        with translated_errors():
            return await greenlet_spawn(self._rows_within, within, statement, values)

    def _rows_within(
        self, seconds: float, statement: Executable, values: Mapping[str, object] | None
    ) -> Sequence[Row[Any]]:
        with self._engine.sync_engine.connect() as connection:
            connection.execute(text(f"SET LOCAL statement_timeout = {int(seconds * 1000)}"))
            return connection.execute(statement, values).all()

    def _rows(
        self, statement: Executable, values: Mapping[str, object] | None
    ) -> Sequence[Row[Any]]:
        with self._sync_engine.connect() as connection:
            return connection.execute(statement, values).all()

    async def batches(self, statement: Executable, size: int) -> AsyncGenerator[Sequence[Row[Any]]]:
        """All rows of `statement`, `size` at a time, from a cursor of the server.

        All rows are of one moment, and of the primary unless this reads a replica. Close the
        generator to free the connection.

        Args:
            statement: that changes nothing.
            size: rows fetched, and held, at once.

        Raises:
            ServiceUnavailableException: there is no primary.
            AppException: the database failed while rows were fetched, as for any statement.
        """
        async with self._engine.connect() as connection:
            if self._is_primary:
                await begin_on_primary(connection)
            options = {"yield_per": size}
            try:
                async with connection.stream(statement, execution_options=options) as rows:
                    async for batch in rows.partitions():
                        yield batch
            except DRIVER_ERRORS as error:
                raise translate_driver(error) from error
