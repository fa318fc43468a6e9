"""Compression of responses."""

import re
from functools import lru_cache

from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

_CODING = re.compile(
    rb"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
)
_LIVE = ("text/event-stream",)
"""Content types that are not compressed, so that no part waits for the next one. Others need not be
named: what is compressed already says so."""
_LONGEST = 256
"""Maximum length of an `Accept-Encoding` header that is parsed; browsers send about 20 bytes."""


class GZip:
    """Starlette's gzip, applied according to `Accept-Encoding` (RFC 9110 §12.5.3).

    Starlette's own middleware searches for the word "gzip", which `gzip;q=0` contains as well.

    Args:
        minimum_size: of a body that is compressed, in bytes.
        level: of zlib, from 1 to 9.
    """

    def __init__(self, app: ASGIApp, *, minimum_size: int, level: int) -> None:
        self.app = app
        self._minimum_size, self._level = minimum_size, level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        responder = (
            GZipResponder(self.app, self._minimum_size, self._level, exclude_content_types=_LIVE)
            if wants_gzip(scope)
            else IdentityResponder(self.app, self._minimum_size, exclude_content_types=_LIVE)
        )
        await responder(scope, receive, send)


def wants_gzip(scope: Scope) -> bool:
    """Whether the response to a request should be compressed."""
    sent = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    accepted = b",".join(sent)
    return len(accepted) <= _LONGEST and prefers_gzip(accepted)


@lru_cache(256)
def prefers_gzip(accepted: bytes) -> bool:
    """Whether gzip is accepted and no other encoding is preferred. Malformed parts are ignored.

    Args:
        accepted: the header's value; empty if it is missing.
    """
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        if coding := _CODING.fullmatch(part.strip(b" \t")):
            weights[coding[1].removeprefix(b"x-")] = float(coding[2] or 1)
    gzip = weights.get(b"gzip", weights.get(b"*", 0.0))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)
