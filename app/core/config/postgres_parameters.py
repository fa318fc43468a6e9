"""Parameters of PostgreSQL URLs: libpq's, and those that hosting providers add."""

import re
from collections.abc import Mapping
from os import R_OK, access
from typing import NamedTuple

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_VERIFYING = ("verify-ca", "verify-full")
_VALUES: dict[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", *_VERIFYING),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# Read from a DSN by asyncpg, as by libpq.
_OF_DRIVER = {*_VALUES, *_FILES, "sslpassword", "passfile", "service", "krbsrvname", "gsslib"}
# Settings of the server that are common in URLs; `options` may have any.
_OF_SERVER = {
    *("application_name", "search_path", "timezone", "statement_timeout", "lock_timeout"),
    "idle_in_transaction_session_timeout",
}
_SECONDS = ("connect_timeout", "command_timeout")
# Values that change nothing.
_AS_IT_IS = {
    ("channel_binding", "prefer"),
    ("channel_binding", "disable"),
    ("gssencmode", "prefer"),
    ("gssencmode", "disable"),
    ("keepalives", "1"),
    ("load_balance_hosts", "disable"),
    ("pgbouncer", "false"),
    ("sslaccept", "accept_invalid_certs"),
    ("sslcompression", "0"),
    ("sslsni", "1"),
}
POOLER = "DATABASE_POOLER=transaction"
_INSTEAD = {
    "connection_limit": "DATABASE_POOL_SIZE",
    "max_overflow": "DATABASE_MAX_OVERFLOW",
    "pgbouncer": POOLER,
    "pool_size": "DATABASE_POOL_SIZE",
    "pool_timeout": "DATABASE_POOL_TIMEOUT",
    "prepared_statement_cache_size": POOLER,
    "statement_cache_size": POOLER,
}
# Settings of the server that the service sets itself, and why a URL's are ignored.
_OURS = {
    "statement_timeout": "DATABASE_STATEMENT_TIMEOUT decides it",
    "jit": "it is always off",
    "plan_cache_mode": "it is always force_custom_plan",
    "tcp_keepalives_idle": "it is always 60",
}


class ParameterError(ValueError):
    """A parameter with a value that is not allowed; the value is not shown."""


class Parameters(NamedTuple):
    """Parameters, by the part of the program that uses them.

    Attributes:
        driver: those that asyncpg reads from a DSN: TLS, files, `target_session_attrs`.
        server: settings of each connection.
        seconds: `connect_timeout` and `command_timeout`, where they are given.
        ignored: parameters that have no effect, and what to do instead, or "".
    """

    driver: Mapping[str, str]
    server: Mapping[str, str]
    seconds: Mapping[str, float]
    ignored: Mapping[str, str]


def sort_parameters(given: dict[str, str]) -> Parameters:
    """Check parameters and sort them by use.

    Raises:
        ParameterError: a value is not allowed.
    """
    _rename(given)
    _check(given)
    server, ignored = _server_settings(given)
    known = {*_OF_DRIVER, *_SECONDS}
    for parameter, value in given.items():
        if parameter not in known and (parameter, value) not in _AS_IT_IS:
            instead = _INSTEAD.get(parameter)
            ignored[parameter] = f"set {instead}" if instead else ""
    return Parameters(
        driver={key: value for key, value in given.items() if key in _OF_DRIVER},
        server=server,
        seconds={key: float(given[key]) for key in _SECONDS if float(given.get(key, 0)) > 0},
        ignored=ignored,
    )


def _rename(given: dict[str, str]) -> None:
    """Replace other programs' names by libpq's, where the meaning is plain."""
    for name in "ssl", "requiressl":
        if value := given.pop(name, ""):
            plain = {"true": "require", "1": "require", "false": "disable", "0": "prefer"}
            given.setdefault("sslmode", plain.get(value.lower(), value))
    if given.get("sslaccept") == "strict":  # Prisma's
        del given["sslaccept"]
        given |= {"sslmode": "verify-full", "sslrootcert": given.get("sslrootcert", "system")}
    for name in "schema", "currentSchema":
        if value := given.pop(name, ""):
            quoted = value.replace('"', '""')
            given.setdefault("search_path", f'"{quoted}"')
    if value := given.pop("fallback_application_name", ""):
        given.setdefault("application_name", value)


def _check(given: Mapping[str, str]) -> None:
    for parameter, values in _VALUES.items():
        if given.get(parameter, values[0]) not in values:
            raise ParameterError(f"{parameter} must be one of {', '.join(values)}")
    for parameter in _FILES:
        path = given.get(parameter, "system")
        if not (path == "system" or ("\0" not in path and access(path, R_OK))):
            raise ParameterError(f"{parameter} must be a file that can be read")
    for parameter in _SECONDS:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?|-1", given.get(parameter, "0")):
            raise ParameterError(f"{parameter} must be a number of seconds")
    if given.get("sslrootcert") == "system" and given.get("sslmode") != "verify-full":
        raise ParameterError("sslrootcert=system needs sslmode=verify-full")


def _server_settings(given: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of the server, and those that are ignored because the service sets them."""
    wanted = _options(given) | {key: given.pop(key) for key in _OF_SERVER if key in given}
    return (
        {key: value for key, value in wanted.items() if key not in _OURS},
        {key: _OURS[key] for key in wanted if key in _OURS},
    )


def _options(given: dict[str, str]) -> dict[str, str]:
    """`options` as settings; options of another form, such as Neon's, are passed on unchanged."""
    options = given.pop("options", "")
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    text = "\0".join(words).replace("-c\0", "-c")
    found = [re.fullmatch(r"(?:-c|--)([\w.-]+)=(.*)", word) for word in text.split("\0")]
    settings = {match[1].replace("-", "_"): match[2] for match in found if match}
    if options and len(settings) < len(found):
        return {"options": options}
    return settings
