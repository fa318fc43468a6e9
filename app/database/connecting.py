"""Opening a connection to PostgreSQL: which server of several, TLS, and settings of the server."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import asyncpg

from app.core.config import DatabaseSettings
from app.core.exceptions import ServiceUnavailableException

APPLICATION_NAME = "backend-api"


def connect_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    """What `Driver.connect` and, through it, `_connect` is told."""
    address = settings.address()
    theirs = {"application_name": APPLICATION_NAME, **address.server}
    at_start = {key: theirs.pop(key) for key in ("application_name", "options") if key in theirs}
    kept = {
        **theirs,
        "statement_timeout": str(int(settings.statement_timeout * 1000)),
        # JIT costs more than it gives on short queries, tens of milliseconds at times.
        "jit": "off",
    }
    arguments: dict[str, Any] = {
        "async_creator_fn": _connect,
        "host": address.hosts,
        "port": address.ports,
        "timeout": address.seconds.get("connect_timeout", settings.connect_timeout),
        "command_timeout": address.seconds.get("command_timeout"),
        "user": address.user,
        "password": address.password and address.password.get_secret_value(),
        "database": address.database,
        **_of_driver(address.driver),
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
    parameters = dict(parameters)
    attributes: dict[str, Any] = {
        "target_session_attrs": parameters.pop("target_session_attrs", None)
    }
    if parameters.get("sslrootcert") != "system":
        return attributes | {
            "dsn": f"postgresql://?{urlencode(parameters)}" if parameters else None
        }
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if certificate := parameters.get("sslcert"):
        context.load_cert_chain(
            certificate, parameters.get("sslkey"), lambda: parameters.get("sslpassword", "")
        )
    is_direct = parameters.get("sslnegotiation") == "direct" or None
    return attributes | {"ssl": context, "direct_tls": is_direct}


async def _connect(
    *,
    host: tuple[str, ...],
    port: tuple[int, ...],
    target_session_attrs: str | None,
    first: str = "",
    **options: Any,
) -> Any:
    """Connect to the first host that fits, each with `timeout` seconds of its own.

    Raises:
        ServiceUnavailableException: none can be reached; SQLAlchemy would pass an OSError on as
            it is.
        asyncpg.TargetServerAttributeNotMatched: none is what is looked for.
    """
    last: Exception | None = None
    for attributes in _wishes(target_session_attrs):
        for place in _places(host, port):
            try:
                connection = await asyncpg.connect(
                    **place, target_session_attrs=attributes, **options
                )
            except (
                OSError,
                asyncpg.CannotConnectNowError,
                asyncpg.TargetServerAttributeNotMatched,
            ) as error:
                last = error
            else:
                if first:
                    await connection.execute(first)
                return connection
    if isinstance(last, OSError):
        raise ServiceUnavailableException from last
    raise last or ServiceUnavailableException


def _wishes(attributes: str | None) -> tuple[str | None, ...]:
    return ("standby", "any") if attributes == "prefer-standby" else (attributes,)


def _places(hosts: tuple[str, ...], ports: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Without a host, as in a service file, one place that the driver knows."""
    for number, host in enumerate(hosts or (None,)):
        yield {"host": host, "port": ports[number] if ports else None}


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


def _with_settings_in_each_transaction(settings: Mapping[str, str]) -> type[asyncpg.Connection]:
    local = f" {_setting(settings, is_local=True)};"

    class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
        """Tells the server in the message that begins the transaction: no round trip more."""

        __slots__ = ()

        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            if query.startswith("BEGIN"):
                query += local
            return await super().execute(query, *args, **options)

    return PooledConnection
