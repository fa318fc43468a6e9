"""Parser of PostgreSQL URLs, in every form that libpq accepts.

By urllib, not by SQLAlchemy's `make_url`: that knows no `host:port,host:port`, no percent-encoded
folder of a Unix socket, and takes a password that is not percent-encoded for other parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote

from pydantic import SecretStr

from app.core.config.postgres_parameters import POOLER, ParameterError, sort_parameters
from app.core.config.urls import URL_FORM, UrlError, split_url

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_URL_FORM = URL_FORM.format(_SCHEMES[0])
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Servers, credentials and parameters of a connection to PostgreSQL.

    Attributes:
        hosts: tried in order; folders of Unix sockets begin with a slash.
        ports: one for each host, or none, for the driver's default.
        driver: see `Parameters`, as for `server`, `seconds` and `ignored`.
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
        """A line for each parameter that is ignored, with the reason. No value is shown."""
        return [
            f"{parameter} is ignored" + (f": {advice}" if advice else "")
            for parameter, advice in self.ignored.items()
            if not (is_pooled and POOLER in advice)
        ]


def parse_postgres(name: str, secret: SecretStr) -> PostgresAddress:
    """Parse a URL.

    Args:
        name: of the setting.
        secret: its value.

    Raises:
        ValueError: it is of another scheme, names no server, is not percent-encoded, or a
            parameter has a value that is not allowed. No part of it is shown.
    """
    try:
        return _parse(split_url(secret.get_secret_value(), *_SCHEMES))
    except ParameterError as error:
        raise ValueError(f"{name}: {error}") from None
    except UrlError as error:
        raise ValueError(f"{name} {error}") from None


def parse_hosts(name: str, value: str, port: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Parse hosts that are separated by commas, into hosts and a port for each.

    Args:
        name: of the setting.
        value: of the same.
        port: for hosts without a port of their own.

    Raises:
        ValueError: one is no host.
    """
    try:
        found = [_host(spec.strip(), is_encoded=False) for spec in value.split(",")]
        ports = _ports([own for _, own in found], str(port))
    except UrlError:
        raise ValueError(
            f"{name} must be a host, or hosts separated by commas, each perhaps with its port: "
            "db-1:5432,db-2:5432"
        ) from None
    return tuple(host for host, _ in found), ports


def _parse(parts: SplitResult) -> PostgresAddress:
    given = _parameters(parts.query)
    info, _, netloc = parts.netloc.rpartition("@")
    user, _, password = info.partition(":")
    # As for libpq, a parameter goes before the first part of the URL.
    named = given.pop("host", "") or given.pop("hostaddr", "")
    listed = [spec for spec in (named or netloc).split(",") if spec]
    if not listed and "service" not in given:
        raise UrlError(_URL_FORM)
    found = [_host(spec, is_encoded=not named) for spec in listed]
    secret = unquote(password) or given.pop("password", "")
    database = unquote(parts.path.removeprefix("/"))
    return PostgresAddress(
        tuple(host for host, _ in found),
        _ports([port for _, port in found], given.pop("port", "")),
        unquote(user) or given.pop("user", "") or None,
        SecretStr(secret) if secret else None,
        database or given.pop("dbname", "") or given.pop("database", "") or None,
        *sort_parameters(given),
    )


def _parameters(query: str) -> dict[str, str]:
    """By name: the last value of each, and all values of hosts and their ports."""
    pairs = [(key, value) for key, value in parse_qsl(query) if value]
    lists = {key: [value for name, value in pairs if name == key] for key in ("host", "port")}
    return dict(pairs) | {key: ",".join(values) for key, values in lists.items() if values}


def _host(spec: str, *, is_encoded: bool) -> tuple[str, str]:
    """A host and its port, or ""."""
    if not is_encoded and (spec.startswith("/") or (spec.count(":") > 1 and "[" not in spec)):
        return spec, ""  # a Unix socket's folder; an IPv6 address as libpq has it
    match = _HOST.fullmatch(spec)
    if match is None or not spec.isascii():
        raise UrlError(_URL_FORM)
    return unquote(match[1] or match[2]), match[3] or ""


def _ports(with_hosts: list[str], listed: str) -> tuple[int, ...]:
    ports = listed.split(",") if listed else []
    if len(ports) == 1:
        ports *= len(with_hosts)
    if ports and len(ports) != len(with_hosts):
        raise ParameterError("port must be one for all hosts, or one for each")
    chosen = [own or other for own, other in zip(with_hosts, ports or with_hosts, strict=True)]
    if not any(chosen):
        return ()
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in chosen if port):
        raise UrlError(_URL_FORM)
    return tuple(int(port or 5432) for port in chosen)
