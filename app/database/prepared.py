"""Prepared statements that survive a change of the schema.

PostgreSQL refuses a statement that was prepared before the type of a column of its result changed:
0A000, "cached plan must not change result type". Each pooled connection has such statements. The
refusal comes before anything ran, so that nothing is done twice by preparing and running it anew;
but it ends the transaction too, and with it what ran before. So:

- outside a transaction, and as its first statement, a refused statement is prepared and run anew;
- a later one that gives rows is never taken from the cache. It is parsed in its transaction, which
  locks its tables: their columns cannot change until it has run.
"""

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    AsyncAdapt_asyncpg_dbapi,
    AsyncAdapt_asyncpg_ss_cursor,
)
from sqlalchemy.util import await_only

ATTEMPTS = 3
"""Outside a transaction, the next change of a migration may come between preparing and running."""


class _Cursor(AsyncAdapt_asyncpg_cursor):
    """Runs a refused statement anew where nothing is lost by it."""

    __slots__ = ()
    _adapt_connection: "_Connection"

    async def _prepare_and_execute(self, operation: Any, parameters: Any) -> None:
        connection = self._adapt_connection
        connection.is_under_way = connection.has_begun
        further = 0 if connection.is_under_way else ATTEMPTS - 1
        while True:
            try:
                await super()._prepare_and_execute(operation, parameters)  # type: ignore[no-untyped-call]
            except AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError:
                if not further:
                    raise
                further -= 1
                await connection.start_over()
            else:
                return


class _ServerSideCursor(_Cursor, AsyncAdapt_asyncpg_ss_cursor):
    __slots__ = ()


class _Connection(AsyncAdapt_asyncpg_connection):
    """SQLAlchemy's, with the cursors above.

    Attributes:
        is_under_way: whether the transaction had begun before the statement that runs now.
    """

    __slots__ = ("is_under_way",)
    _cursor_cls = _Cursor
    _ss_cursor_cls = _ServerSideCursor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self.is_under_way = False

    @property
    def has_begun(self) -> bool:
        """Whether a transaction has."""
        return self._transaction is not None

    async def start_over(self) -> None:
        """End the transaction, of which nothing is lost, and forget what was prepared."""
        if self._transaction is not None:
            await self._call_and_discard(self._transaction.rollback)
        if self._prepared_statement_cache is not None:
            self._prepared_statement_cache.clear()

    async def _prepare(self, operation: str, invalidate_timestamp: float) -> Any:
        cache: Any = self._prepared_statement_cache or ()
        if self.is_under_way and operation in cache:
            _, columns, _ = cache[operation]
            if columns:
                # Without a name: the next one replaces it, and nobody has to close it.
                statement = await self._connection.prepare(operation, name="")
                return statement, statement.get_attributes()
        return await super()._prepare(operation, invalidate_timestamp)  # type: ignore[no-untyped-call]


class Driver(AsyncAdapt_asyncpg_dbapi):
    """asyncpg as SQLAlchemy sees it, with the connections above."""

    def connect(
        self,
        *arguments: Any,
        async_creator_fn: Any,
        prepared_statement_cache_size: int = 100,
        prepared_statement_name_func: Any = None,
        **options: Any,
    ) -> _Connection:
        return await_only(
            _Connection.create(
                self,
                async_creator_fn(*arguments, **options),
                prepared_statement_cache_size=prepared_statement_cache_size,
                prepared_statement_name_func=prepared_statement_name_func,
            )
        )
