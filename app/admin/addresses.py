"""Addresses that browsers send: where a form came from, and where to go on."""

from urllib.parse import SplitResult, urlsplit

from fastapi import Request

from app.admin.rendering import BASE

_NOWHERE = SplitResult("", "", "", "", "")


def split(address: str) -> SplitResult:
    """The parts of `address`; empty ones where it is no address, such as `http://[`."""
    try:
        return urlsplit(address)
    except ValueError:
        return _NOWHERE


def way_back(place: str | None) -> str:
    """`place`, if it is on the page: a link must not lead people away after they log in."""
    parts = split(place or "")
    is_ours = parts.path == BASE or parts.path.startswith(f"{BASE}/")
    is_view = is_ours and not parts.path.startswith((f"{BASE}/login", f"{BASE}/logout"))
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.path}{query}" if is_view else BASE


def place_of(request: Request) -> str:
    """Where the browser wants to go, or for a form, where it was."""
    if request.method == "GET":
        return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    referer = split(request.headers.get("Referer", ""))
    return f"{referer.path}?{referer.query}"
