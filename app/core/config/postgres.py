"""URLs of PostgreSQL, with every parameter of libpq's and what hosting providers add to them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import R_OK, access
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import SecretStr

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_FORM = (
    "must be of the form postgresql://user:password@host:port/name, "
    "special characters in the password percent-encoded"
)
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::(\d*))?")
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
# What asyncpg reads from a DSN, as libpq does.
_OF_DRIVER = {*_VALUES, *_FILES, "sslpassword", "passfile", "service", "krbsrvname", "gsslib"}
# Of the server, and common in URLs; `options` may have any.
_OF_SERVER = {
    *("application_name", "search_path", "timezone", "statement_timeout", "lock_timeout"),
    "idle_in_transaction_session_timeout",
}
_SECONDS = ("connect_timeout", "command_timeout")
# What a parameter asks for by this value is so anyway.
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
_POOLER = "DATABASE_POOLER=transaction"
_INSTEAD = {
    "connection_limit": "DATABASE_POOL_SIZE",
    "max_overflow": "DATABASE_MAX_OVERFLOW",
    "pgbouncer": _POOLER,
    "pool_size": "DATABASE_POOL_SIZE",
    "pool_timeout": "DATABASE_POOL_TIMEOUT",
    "prepared_statement_cache_size": _POOLER,
    "statement_cache_size": _POOLER,
}
OURS = {
    "statement_timeout": "DATABASE_STATEMENT_TIMEOUT decides it",
    "jit": "it is always off",
    "plan_cache_mode": "it is always force_custom_plan",
    "tcp_keepalives_idle": "it is always 60",
}
"""Settings of the server that are the service's own, and why a URL's are ignored."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where PostgreSQL is, and how to connect.

    Attributes:
        hosts: tried in order; folders of Unix sockets begin with a slash.
        ports: one for each host, or none, for the driver's default.
        driver: parameters that asyncpg reads from a DSN: TLS, files, `target_session_attrs`.
        server: settings of each connection.
        seconds: `connect_timeout` and `command_timeout`, where they are given.
        ignored: parameters that have no effect, and what to do instead, or "".
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...] = ()
    user: str | None = None
    password: SecretStr | None = None
    database: str | None = None
    driver: Mapping[str, str] = field(default_factory=dict)
    server: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)

    def warnings(self, *, is_pooled: bool) -> list[str]:
        """What each parameter that is ignored is called, and why. No value is shown."""
        return [
            f"{parameter} is ignored" + (f": {advice}" if advice else "")
            for parameter, advice in self.ignored.items()
            if not (is_pooled and _POOLER in advice)
        ]


def parse_postgres(name: str, secret: SecretStr) -> PostgresAddress:
    """Read a URL.

    Args:
        name: of the setting.
        secret: its value.

    Raises:
        ValueError: it is of another scheme, names no server, is not percent-encoded, or a
            parameter has a value that nobody understands. In words of our own, which show no
            part of it: the parsers' quote the password.
    """
    try:
        parts = _split(secret.get_secret_value())
        given = _parameters(parts.query)
        user, hosts, ports = _place(parts, given)
        return _address(unquote(parts.path.removeprefix("/")), user, hosts, ports, given)
    except _ParameterError as error:
        raise ValueError(f"{name}: {error}") from None
    except _UrlError as error:
        raise ValueError(f"{name} {error}") from None


def parse_hosts(name: str, value: str, port: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read hosts that are separated by commas; they, and a port for each.

    Args:
        name: of the setting.
        value: of the same.
        port: of those that have none of their own.

    Raises:
        ValueError: one is no host.
    """
    try:
        found = [_host(spec.strip(), is_encoded=False) for spec in value.split(",")]
        ports = _ports([own for _, own in found], str(port))
    except _UrlError:
        raise ValueError(
            f"{name} must be a host, or hosts separated by commas, each perhaps with its port: "
            "db-1:5432,db-2:5432"
        ) from None
    return tuple(host for host, _ in found), tuple(ports)


class _UrlError(ValueError):
    pass


class _ParameterError(ValueError):
    pass


def _split(url: str) -> SplitResult:
    if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        allowed = " or ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise _UrlError(f"must begin with {allowed}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _UrlError(_FORM) from None
    # An @ elsewhere is the end of a password in which a character ended the URL's first part.
    if not parts.netloc.count("@") == url.count("@") <= 1:
        raise _UrlError(_FORM)
    return parts


def _parameters(query: str) -> dict[str, str]:
    """By name, the last of each but hosts and their ports, of which all are meant."""
    pairs = [(key, value) for key, value in parse_qsl(query) if value]
    lists = {key: [value for name, value in pairs if name == key] for key in ("host", "port")}
    return dict(pairs) | {key: ",".join(values) for key, values in lists.items() if values}


def _place(
    parts: SplitResult, given: dict[str, str]
) -> tuple[tuple[str | None, SecretStr | None], list[str], list[int]]:
    info, _, netloc = parts.netloc.rpartition("@")
    user, _, password = info.partition(":")
    named = given.pop("host", "") or given.pop("hostaddr", "")
    # As for libpq, a parameter goes before the first part of the URL.
    listed = [spec for spec in (named or netloc).split(",") if spec]
    if not listed and "service" not in given:
        raise _UrlError(_FORM)
    found = [_host(spec, is_encoded=not named) for spec in listed]
    ports = _ports([port for _, port in found], given.pop("port", ""))
    secret = unquote(password) or given.pop("password", "")
    name = unquote(user) or given.pop("user", "")
    credentials = name or None, SecretStr(secret) if secret else None
    return credentials, [host for host, _ in found], ports


def _host(spec: str, *, is_encoded: bool) -> tuple[str, str]:
    """A host and its port, or ""."""
    if not is_encoded and (spec.startswith("/") or (spec.count(":") > 1 and "[" not in spec)):
        return spec, ""  # a Unix socket's folder; an IPv6 address as libpq has it
    match = _HOST.fullmatch(spec)
    if match is None or not spec.isascii():
        raise _UrlError(_FORM)
    return unquote(match[1] or match[2]), match[3] or ""


def _ports(with_hosts: list[str], listed: str) -> list[int]:
    ports = listed.split(",") if listed else []
    if len(ports) == 1:
        ports *= len(with_hosts)
    if ports and len(ports) != len(with_hosts):
        raise _ParameterError("port must be one for all hosts, or one for each")
    chosen = [own or other for own, other in zip(with_hosts, ports or with_hosts, strict=True)]
    if not any(chosen):
        return []
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in chosen if port):
        raise _UrlError(_FORM)
    return [int(port or 5432) for port in chosen]


def _address(
    database: str,
    credentials: tuple[str | None, SecretStr | None],
    hosts: list[str],
    ports: list[int],
    given: dict[str, str],
) -> PostgresAddress:
    database = database or given.pop("dbname", "") or given.pop("database", "")
    user, password = credentials
    _rename(given)
    _check(given)
    server, ignored = _server_settings(given)
    known = {*_OF_DRIVER, *_SECONDS}
    for parameter, value in given.items():
        if parameter not in known and (parameter, value) not in _AS_IT_IS:
            instead = _INSTEAD.get(parameter)
            ignored[parameter] = f"set {instead}" if instead else ""
    return PostgresAddress(
        hosts=tuple(hosts),
        ports=tuple(ports),
        user=user,
        password=password,
        database=database or None,
        driver={key: value for key, value in given.items() if key in _OF_DRIVER},
        server=server,
        seconds={key: float(given[key]) for key in _SECONDS if float(given.get(key, 0)) > 0},
        ignored=ignored,
    )


def _rename(given: dict[str, str]) -> None:
    """Other programs' names for the same, where the meaning is plain."""
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
            raise _ParameterError(f"{parameter} must be one of {', '.join(values)}")
    for parameter in _FILES:
        path = given.get(parameter, "system")
        if not (path == "system" or ("\0" not in path and access(path, R_OK))):
            raise _ParameterError(f"{parameter} must be a file that can be read")
    for parameter in _SECONDS:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?|-1", given.get(parameter, "0")):
            raise _ParameterError(f"{parameter} must be a number of seconds")
    if given.get("sslrootcert") == "system" and given.get("sslmode") != "verify-full":
        raise _ParameterError("sslrootcert=system needs sslmode=verify-full")


def _server_settings(given: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of the server, and those that are ignored because they are the service's own."""
    theirs = _options(given) | {key: given.pop(key) for key in _OF_SERVER if key in given}
    return (
        {key: value for key, value in theirs.items() if key not in OURS},
        {key: OURS[key] for key in theirs if key in OURS},
    )


def _options(given: dict[str, str]) -> dict[str, str]:
    """`options` as settings; those of another form, such as Neon's, stay what they are."""
    options = given.pop("options", "")
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    text = "\0".join(words).replace("-c\0", "-c")
    found = [re.fullmatch(r"(?:-c|--)([\w.-]+)=(.*)", word) for word in text.split("\0")]
    settings = {match[1].replace("-", "_"): match[2] for match in found if match}
    if options and len(settings) < len(found):
        return {"options": options}
    return settings
