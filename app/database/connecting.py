"""Opening a connection to PostgreSQL: TLS, and settings of the server."""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import asyncpg

from app.core.config import DatabaseSettings
from app.core.exceptions import ServiceUnavailableException
from app.database.hosts import Hosts

APPLICATION_NAME = "backend-api"


def connect_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    """What `Driver.connect` and, through it, `Hosts.connect` is told."""
    address = settings.address()
    driver = dict(address.driver)
    hosts = Hosts(address.hosts, address.ports, driver.pop("target_session_attrs", None))
    theirs = {"application_name": APPLICATION_NAME, **address.server}
    at_start = {key: theirs.pop(key) for key in ("application_name", "options") if key in theirs}
    kept = {
        **theirs,
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
        **_of_driver(driver),
    }
    if settings.is_pooled:
        # Each transaction may run on another of the server's connections: nothing may be kept on
        # one, neither settings nor prepared statements (decision 12). Unnamed statements replace
        # each other; a named one could only be closed where it happens not to be.
        return arguments | {
            "server_settings": at_start,
            "connection_class": _with_settings_in_each_transaction(kept),
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    kept |= {
        # Seconds; keeps idle connections alive on their way through a NAT, and ends those of a
        # worker whose machine is gone, with the locks they hold.
        "tcp_keepalives_idle": "60",
        # A prepared statement is planned for its values each time, where it has any: one plan for
        # any search would do badly for a rare one, or for a frequent one. A pooler's are prepared
        # once each anyway.
        "plan_cache_mode": "force_custom_plan",
    }
    if settings.pooler == "session":  # refuses settings at the start of a connection
        arguments["first"] = _setting(kept, is_local=False)
        return arguments | {"server_settings": at_start}
    return arguments | {"server_settings": at_start | kept}


def _of_driver(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Those that asyncpg takes from a DSN alone, and the system's certificates, which it does
    not know of."""
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


def _setting(settings: Mapping[str, str], *, is_local: bool) -> str:
    """A statement that sets them, by a function: SET would take a list for one name."""

    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"E'{escaped}'"

    calls = (
        f"set_config({quoted(name)}, {quoted(value)}, {str(is_local).lower()})"
        for name, value in settings.items()
    )
    return f"SELECT {', '.join(calls)}"


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """Has one error for a connection that is lost while SQLAlchemy sets it up, which would pass the
    driver's own on as it is."""

    __slots__ = ()

    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        try:
            await super().set_type_codec(*arguments, **options)
        except (asyncpg.InterfaceError, asyncpg.PostgresError, OSError) as error:
            raise ServiceUnavailableException from error


def _with_settings_in_each_transaction(settings: Mapping[str, str]) -> type[asyncpg.Connection]:
    local = f" {_setting(settings, is_local=True)};"

    class PooledConnection(_Connection):
        """Tells the server in the message that begins the transaction: no round trip more."""

        __slots__ = ()

        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            if query.startswith("BEGIN"):
                query += local
            return await super().execute(query, *args, **options)

    return PooledConnection
