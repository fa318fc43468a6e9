"""Statements that only read, without a session."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from app.core.config import DatabaseSettings


class Reads:
    """Runs each statement for itself, on a connection that it has only meanwhile.

    For what is asked often and changes nothing: a session costs as much as the statement, and
    would tell objects apart, of which there are none. No transaction is begun either, which saves
    the round trips of BEGIN and ROLLBACK; so no two statements need to see one moment. Behind a
    pooler one is begun all the same, since our settings come with it.

    Args:
        engine: whose pool it uses.
        settings: tell whether there is a pooler.
    """

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings) -> None:
        if not settings.is_pooled:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._engine = engine.sync_engine

    async def rows(
        self, statement: Executable, values: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """All rows of `statement`.

        Args:
            statement: that changes nothing.
            values: of its parameters.
        """
        # One switch to SQLAlchemy's synchronous side for everything; its asyncio classes make one
        # to connect, one to run the statement and one to close.
        return await greenlet_spawn(self._rows, statement, values)

    def _rows(
        self, statement: Executable, values: Mapping[str, object] | None
    ) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()
