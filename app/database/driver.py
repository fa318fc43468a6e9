"""The asyncpg driver as SQLAlchemy uses it: connect arguments, and prepared statements that survive
a change of the schema.

PostgreSQL refuses a statement that was prepared before the type of a column of its result changed:
0A000, "cached plan must not change result type". Each pooled connection has such statements. The
refusal precedes any work, so that preparing and running the statement again does nothing twice; but
it also ends the transaction, and with it what ran before. So:

- outside a transaction, and as its first statement, a refused statement is prepared and run again;
- a later one that returns rows is never taken from the cache. It is parsed in its transaction,
  which locks its tables: their columns cannot change until it has run. Except where its text begins
  with `SAME_COLUMNS`, which saves a round trip.
"""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    AsyncAdapt_asyncpg_dbapi,
    AsyncAdapt_asyncpg_ss_cursor,
)
from sqlalchemy.util import await_only

from app.core.config import DatabaseSettings
from app.core.exceptions import ServiceUnavailableException
from app.database.servers.hosts import DatabaseHosts

APPLICATION_NAME = "backend-api"
SAME_COLUMNS = "/* same columns */ "
"""Marks a statement whose result has the same columns for ever."""


def connect_arguments(settings: DatabaseSettings, *, is_primary: bool = True) -> dict[str, Any]:
    """Arguments of `Driver.connect`, which passes most of them on to `DatabaseHosts.connect`."""
    address = settings.address()
    any_server = {} if is_primary else {"target_session_attrs": "any"}
    driver = {**any_server, **address.driver}
    hosts = DatabaseHosts(address.hosts, address.ports, driver.pop("target_session_attrs", None))
    server = {"application_name": APPLICATION_NAME, **address.server}
    startup = {key: server.pop(key) for key in ("application_name", "options") if key in server}
    session = {
        **server,
        "statement_timeout": str(int(settings.statement_timeout * 1000)),
        # JIT costs more than it gives on short queries, tens of milliseconds at times.
        "jit": "off",
    }
    arguments: dict[str, Any] = {
        "async_creator_fn": hosts.connect,
        "connection_class": _Connection,
        "timeout": address.seconds.get("connect_timeout", settings.connect_timeout),
        "command_timeout": address.seconds.get("command_timeout"),
        "user": address.user,
        "password": address.password and address.password.get_secret_value(),
        "database": address.database,
        **_driver_arguments(driver),
    }
    if settings.is_pooled:
        # Each transaction may run on another server connection: no state may stay on one, neither
        # settings nor prepared statements (ADR 13). Unnamed statements replace each other; a
        # named one might have to be closed on another connection than it was prepared on.
        return arguments | {
            "server_settings": startup,
            "connection_class": _with_settings_in_each_transaction(session),
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    session |= {
        # Seconds. Keeps idle connections alive through a NAT, and ends those of a worker whose
        # machine has failed, with the locks they hold.
        "tcp_keepalives_idle": "60",
        # Plan a prepared statement for its values each time: a generic plan would be bad either
        # for rare or for frequent search terms. Behind a pooler statements are not reused anyway.
        "plan_cache_mode": "force_custom_plan",
    }
    if settings.pooler == "session":  # refuses settings in the startup message
        arguments["first"] = _set_config(session, is_local=False)
        return arguments | {"server_settings": startup}
    return arguments | {"server_settings": startup | session}


def _driver_arguments(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that asyncpg reads only from a DSN, and `sslrootcert=system`, which it does
    not support."""
    if parameters.get("sslrootcert") != "system":
        return {"dsn": f"postgresql://?{urlencode(parameters)}" if parameters else None}
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if certificate := parameters.get("sslcert"):
        context.load_cert_chain(
            certificate, parameters.get("sslkey"), lambda: parameters.get("sslpassword", "")
        )
    is_direct = parameters.get("sslnegotiation") == "direct" or None
    return {"ssl": context, "direct_tls": is_direct}


def _set_config(settings: Mapping[str, str], *, is_local: bool) -> str:
    """A statement that applies settings; by `set_config`, since SET reads a list as one name."""

    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"E'{escaped}'"

    calls = (
        f"set_config({quoted(name)}, {quoted(value)}, {str(is_local).lower()})"
        for name, value in settings.items()
    )
    return f"SELECT {', '.join(calls)}"


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """asyncpg's connection, with one error for a connection lost while SQLAlchemy sets it up.

    SQLAlchemy does not translate the driver's errors there."""

    __slots__ = ()

    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        try:
            await super().set_type_codec(*arguments, **options)
        except (asyncpg.InterfaceError, asyncpg.PostgresError, OSError) as error:
            raise ServiceUnavailableException from error


def _with_settings_in_each_transaction(settings: Mapping[str, str]) -> type[asyncpg.Connection]:
    local = f" {_set_config(settings, is_local=True)};"

    class PooledConnection(_Connection):
        """Sends the settings in the message that begins the transaction, at no extra round trip."""

        __slots__ = ()

        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            if query.startswith("BEGIN"):
                query += local
            return await super().execute(query, *args, **options)

    return PooledConnection


ATTEMPTS = 3
"""Outside a transaction, another schema change may happen between preparing and running."""


class _Cursor(AsyncAdapt_asyncpg_cursor):
    """Runs a refused statement again where no earlier statement is lost by it."""

    __slots__ = ()
    _adapt_connection: "_AdaptedConnection"

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


class _AdaptedConnection(AsyncAdapt_asyncpg_connection):
    """SQLAlchemy's adapted connection, with the cursors above.

    Attributes:
        is_under_way: whether the transaction had begun before the current statement.
    """

    __slots__ = ("is_under_way",)
    _cursor_cls = _Cursor
    _ss_cursor_cls = _ServerSideCursor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self.is_under_way = False

    @property
    def has_begun(self) -> bool:
        """Whether a transaction has begun."""
        return self._transaction is not None

    async def start_over(self) -> None:
        """Roll back the transaction, which did nothing yet, and clear the statement cache."""
        if self._transaction is not None:
            await self._call_and_discard(self._transaction.rollback)
        if self._prepared_statement_cache is not None:
            self._prepared_statement_cache.clear()

    async def _prepare(self, operation: str, invalidate_timestamp: float) -> Any:
        cache: Any = self._prepared_statement_cache or ()
        if self.is_under_way and operation in cache and not operation.startswith(SAME_COLUMNS):
            _, columns, _ = cache[operation]
            if columns:
                # Unnamed: the next one replaces it, so that it needs no closing.
                statement = await self._connection.prepare(operation, name="")
                return statement, statement.get_attributes()
        return await super()._prepare(operation, invalidate_timestamp)  # type: ignore[no-untyped-call]


class Driver(AsyncAdapt_asyncpg_dbapi):
    """SQLAlchemy's DBAPI module for asyncpg, with the connections above."""

    def connect(
        self,
        *arguments: Any,
        async_creator_fn: Any,
        prepared_statement_cache_size: int = 100,
        prepared_statement_name_func: Any = None,
        **options: Any,
    ) -> _AdaptedConnection:
        return await_only(
            _AdaptedConnection.create(
                self,
                async_creator_fn(*arguments, **options),
                prepared_statement_cache_size=prepared_statement_cache_size,
                prepared_statement_name_func=prepared_statement_name_func,
            )
        )
