"""Validation and normalisation of hosts, origins and addresses in settings.

Messages repeat no value.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

# Schemes of web pages, and those of apps and browser extensions.
_PORTS = {"http": "80", "https": "443"}
_SCHEMES = {*_PORTS, "capacitor", "ionic", "tauri"} | {
    f"{browser}-extension" for browser in ("chrome", "moz", "safari-web")
}
_NAME = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_ORIGIN = re.compile(rf"([a-z-]+)://({_NAME}|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?/?")
_HOST = re.compile(rf"(?:\*\.)?{_NAME}")


def each(parse: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """A validator for a list, from `parse` for one item; a single `*` is allowed too."""

    def parse_all(items: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in items:
            if len(items) > 1:
                raise ValueError("* allows all, and must be the only item")
            return items
        parsed = []
        for number, item in enumerate(items, 1):
            try:
                parsed.append(parse(item))
            except ValueError as error:
                raise ValueError(f"item {number} should be {error}") from None
        return tuple(dict.fromkeys(parsed))

    return parse_all


def origin(value: str) -> str:
    """An origin as browsers send it: lower case, without default port or trailing slash."""
    found = _ORIGIN.fullmatch(value.lower())
    if found is None or found[1] not in _SCHEMES or not _is_port(found[3]):
        raise ValueError(
            "an origin such as https://app.example.com or http://localhost:3000: a scheme, a host "
            "and perhaps a port, with no path, user, space or wildcard (separate several by commas)"
        )
    scheme, host, port = found.groups()
    is_default = port is None or port.lstrip("0") == _PORTS.get(scheme)
    return f"{scheme}://{_plain(host)}" + ("" if is_default else f":{int(port)}")


def host(value: str) -> str:
    """A host name or address as in the `Host` header, without port; `*.` allows all subdomains."""
    lower = value.lower()
    try:
        return _plain(f"[{lower.strip('[]')}]") if ":" in lower else _name(lower)
    except ValueError:
        raise ValueError(
            "a host such as api.example.com or *.example.com, without scheme, port or path"
        ) from None


def rp_id(value: str) -> str:
    """A domain that passkeys are bound to: no address and no top-level domain, which browsers
    refuse."""
    lower = value.lower()
    is_domain = re.fullmatch(rf"{_NAME}\.[a-z][a-z0-9-]*", lower) is not None
    if lower != "localhost" and not is_domain:
        raise ValueError(
            "should be a domain such as example.com, without scheme, port or path; passkeys cannot "
            "be bound to an address"
        )
    return lower


def is_at(origin: str, domain: str) -> bool:
    """Whether pages of an origin may use passkeys of a domain: it, or one below, over https unless
    it is this machine."""
    parts = urlsplit(origin)
    name = parts.hostname or ""
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and name == "localhost")
    return is_secure and (name == domain or name.endswith(f".{domain}"))


def proxy(value: str) -> str:
    """An IP address or a network."""
    try:
        return str(ip_network(value, strict=False) if "/" in value else ip_address(value))
    except ValueError:
        raise ValueError("an address, a network such as 10.0.0.0/8, or *") from None


def collector(value: str) -> str:
    """The base URL of a collector."""
    return _base_url(value, "http://collector:4318")


def range_api(value: str) -> str:
    """The URL of a list of breached passwords, to which the digits of a hash are added."""
    return _base_url(value, "https://passwords.example.com/range")


def _base_url(value: str, example: str) -> str:
    try:
        parts = urlsplit(value)
        is_right = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or re.search(r"[\s@?#]", value):
        raise ValueError(f"should be of the form {example}, with no user, query or fragment")
    return value


def _name(value: str) -> str:
    if _HOST.fullmatch(value) is None:
        raise ValueError
    return value


def _plain(name: str) -> str:
    """A host with an IPv6 address in canonical spelling.

    Raises:
        ValueError: the address is invalid.
    """
    return f"[{IPv6Address(name[1:-1])}]" if name.startswith("[") else name


def _is_port(port: str | None) -> bool:
    return port is None or 1 <= int(port) <= 65_535
