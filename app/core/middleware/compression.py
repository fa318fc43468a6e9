"""Compresses answers for clients that accept it."""

import re
from functools import lru_cache

from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

_CODING = re.compile(
    rb"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
)
_LONGEST = 256
"""Bytes of an `Accept-Encoding` that is looked at; browsers send some 20."""


class GZip:
    """Starlette's gzip, where `Accept-Encoding` asks for it as RFC 9110, 12.5.3, has it.

    Starlette's own middleware looks for the four letters, which `gzip;q=0` has as well.

    Args:
        minimum_size: bytes of the smallest body that is compressed.
        level: of zlib, from 1 to 9.
    """

    def __init__(self, app: ASGIApp, *, minimum_size: int, level: int) -> None:
        self.app = app
        self._minimum_size, self._level = minimum_size, level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = [value for name, value in scope["headers"] if name == b"accept-encoding"]
        accepted = b",".join(sent)
        # Nothing that we send is compressed already: no kind of content needs to be excluded.
        responder = (
            GZipResponder(self.app, self._minimum_size, self._level, exclude_content_types=())
            if len(accepted) <= _LONGEST and prefers_gzip(accepted)
            else IdentityResponder(self.app, self._minimum_size, exclude_content_types=())
        )
        await responder(scope, receive, send)


@lru_cache(256)
def prefers_gzip(accepted: bytes) -> bool:
    """Whether gzip is accepted, and nothing else preferred. A part that is malformed says nothing.

    Args:
        accepted: the header's value; empty where it is not there.
    """
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        if coding := _CODING.fullmatch(part.strip(b" \t")):
            weights[coding[1].removeprefix(b"x-")] = float(coding[2] or 1)
    gzip = weights.get(b"gzip", weights.get(b"*", 0.0))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)
