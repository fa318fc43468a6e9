"""The client device of a request, and its name in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

UNKNOWN = "Unknown device"
# In this order: most browsers also name those that they are compatible with.
_BROWSERS = (
    (("Edg/", "EdgA/", "EdgiOS/"), "Edge"),
    (("OPR/",), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("Firefox/", "FxiOS/"), "Firefox"),
    (("Chrome/", "CriOS/"), "Chrome"),
    (("Safari/",), "Safari"),
)
_SYSTEMS = (
    (("iPhone",), "iPhone"),
    (("iPad",), "iPad"),
    (("Android",), "Android"),
    (("CrOS",), "ChromeOS"),
    (("Windows",), "Windows"),
    (("Macintosh",), "Mac"),
    (("Linux",), "Linux"),
)
_PRODUCT = re.compile(r"(?!Mozilla\b)[a-z][\w.-]{0,39}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """A client, by what it says of itself.

    Attributes:
        address: IP address.
        proofs: device tokens that it sent, unverified: see `KnownDevices`.
    """

    user_agent: str | None
    address: str | None
    proofs: tuple[str, ...] = field(default=(), repr=False, compare=False)


def device_in_words(user_agent: str | None) -> str:
    """`Firefox on Windows`, `curl`, or `Unknown device`.

    A table and not a library: the usual one, `ua-parser`, takes 9 MB of each process and stops its
    event loop for 300 ms at first use, to tell hundreds of devices apart that nobody logs in with.
    """
    known = user_agent or ""
    browser, system = _first(_BROWSERS, known), _first(_SYSTEMS, known)
    if browser and system:
        return f"{browser} on {system}"
    product = _PRODUCT.match(known)
    return browser or system or (product[0] if product else UNKNOWN)


def is_known(device: Device, earlier: Iterable[Device]) -> bool:
    """Whether one of the earlier devices has the same name in words, and an address of the same
    provider.

    The name alone says little: a thief's browser is likely to be as common as the owner's. The
    whole address and the whole user agent change every few days.
    """
    seen = {(one.user_agent, one.address) for one in earlier}
    name, network = device_in_words(device.user_agent), _network(device.address)
    return any(
        device_in_words(agent) == name and _network(address) == network for agent, address in seen
    )


def _network(address: str | None) -> IPv4Network | IPv6Network | str | None:
    """About what one provider has: a /16 of IPv4, a /32 of IPv6."""
    if address is None:
        return None
    try:
        return ip_network(f"{address}/{32 if ':' in address else 16}", strict=False)
    except ValueError:  # no address: a socket in the file system
        return address


def _first(names: Iterable[tuple[tuple[str, ...], str]], user_agent: str) -> str | None:
    return next((name for marks, name in names if any(m in user_agent for m in marks)), None)
