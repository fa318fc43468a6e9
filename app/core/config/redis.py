"""Parser of Redis URLs: one server, Sentinels with the name of their primary, or a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode

from pydantic import SecretStr

from app.core.config.postgres import parse_hosts
from app.core.config.urls import UrlError, check_url, split_url

SENTINEL_PORT = 26379
REDIS_PORT = 6379
_SINGLE = ("redis", "rediss", "unix")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_CLUSTER = ("redis+cluster", "rediss+cluster")
_SENTINEL_FORM = (
    "must be of the form redis+sentinel://:password@host:port,host:port/name-of-the-primary/0, "
    "special characters in the password percent-encoded"
)
_CLUSTER_FORM = (
    "must be of the form redis+cluster://:password@host:port,host:port, special characters in the "
    "password percent-encoded; a cluster has no database but 0"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, Sentinels or a cluster.

    Attributes:
        kind: of these.
        options: URL of the form of one server, with credentials, database and parameters; for
            `single`, the URL itself.
        places: hosts and ports: of the Sentinels, or of some nodes of the cluster.
        primary: the name by which the Sentinels know it.
        sentinel: credentials for the Sentinels, `username` and `password`, where they need any.
    """

    kind: Literal["single", "sentinel", "cluster"]
    options: str = field(repr=False)
    places: tuple[tuple[str, int], ...] = ()
    primary: str = ""
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_redis(name: str, secret: SecretStr) -> RedisAddress:
    """Parse a URL.

    Args:
        name: of the setting.
        secret: its value.

    Raises:
        ValueError: it is of another scheme, names no server, or is not percent-encoded. No part of
            it is shown.
    """
    url = secret.get_secret_value()
    scheme = url.partition("://")[0]
    try:
        if scheme in _SENTINEL:
            return _sentinels(split_url(url, *_SENTINEL))
        if scheme in _CLUSTER:
            return _cluster(split_url(url, *_CLUSTER))
    except UrlError as error:
        raise ValueError(f"{name} {error}") from None
    check_url(name, secret, *_SINGLE, *_SENTINEL, *_CLUSTER)
    return RedisAddress("single", url)


def _sentinels(parts: SplitResult) -> RedisAddress:
    primary, _, database = parts.path.strip("/").partition("/")
    places = _places(parts, SENTINEL_PORT, _SENTINEL_FORM)
    if not primary or not (database or "0").isdecimal():
        raise UrlError(_SENTINEL_FORM)
    query = dict(parse_qsl(parts.query))
    sentinel = {
        key: query.pop(f"sentinel_{key}")
        for key in ("username", "password")
        if f"sentinel_{key}" in query
    }
    options = _options(parts, f"/{database or 0}", query)
    return RedisAddress("sentinel", options, places, unquote(primary), sentinel)


def _cluster(parts: SplitResult) -> RedisAddress:
    if parts.path.strip("/") not in ("", "0"):
        raise UrlError(_CLUSTER_FORM)
    places = _places(parts, REDIS_PORT, _CLUSTER_FORM)
    return RedisAddress("cluster", _options(parts, "", dict(parse_qsl(parts.query))), places)


def _places(parts: SplitResult, port: int, form: str) -> tuple[tuple[str, int], ...]:
    try:
        hosts, ports = parse_hosts("", parts.netloc.rpartition("@")[2], port)
    except ValueError:
        raise UrlError(form) from None
    if any(host.startswith("/") for host in hosts):
        raise UrlError(form)
    return tuple(zip(hosts, ports, strict=True))


def _options(parts: SplitResult, path: str, query: Mapping[str, str]) -> str:
    info, separator, _ = parts.netloc.rpartition("@")
    scheme = parts.scheme.partition("+")[0]
    return f"{scheme}://{info}{separator}host{path}?{urlencode(query)}"
