"""Static files: in memory, compressed once, and cached by browsers for good."""

import gzip
import mimetypes
from collections.abc import AsyncIterator
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock

import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.api.routing import Router
from app.core.exceptions import NotFoundException
from app.core.middleware.compression import wants_gzip

SUFFIXES = frozenset({".css", ".js", ".svg", ".txt"})
FOREVER = "public, max-age=31536000, immutable"
MIN_COMPRESSED = 1024
"""Bytes; a smaller file is sent as it is."""
PART = 65_536
"""Bytes that are handed to the server at once: what a slow client has not read yet is held in
memory, for each of its connections."""


class StaticFile:
    """A file in memory; compressed at the first request that accepts gzip."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self._lock = Lock()

    @cached_property
    def _gzipped(self) -> bytes:
        return gzip.compress(self.body, 9, mtime=0)

    def _compress(self) -> bytes:
        with self._lock:  # requests at the same time wait for the first
            return self._gzipped

    async def response(self, request: Request, caching: str) -> Response:
        """The file, or its compressed form; `caching` is the `Cache-Control` header."""
        body, headers = self.body, {"Cache-Control": caching}
        if len(body) >= MIN_COMPRESSED and wants_gzip(request.scope):
            body = await anyio.to_thread.run_sync(self._compress)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        if len(body) <= PART:
            return Response(body, headers=headers, media_type=self.media_type)
        headers["Content-Length"] = str(len(body))
        return StreamingResponse(_parts(body), headers=headers, media_type=self.media_type)


async def _parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PART):
        yield body[start : start + PART]


class StaticFiles:
    """The files of a folder and its subfolders, at URLs with a hash of their content.

    They are read at first use.

    Args:
        folder: files with other endings than `SUFFIXES` are left out.
        path: start of the URLs, such as `/static`.

    Attributes:
        router: the route that serves them.
    """

    def __init__(self, folder: Path, path: str) -> None:
        self._folder, self._path = folder, path
        self.router = Router(prefix=path, include_in_schema=False)
        self.router.add_api_route("/{version}/{name:path}", self.serve, methods=["GET"])

    @cached_property
    def files(self) -> dict[str, StaticFile]:
        """The files by name, such as `vendor/htmx.min.js`."""
        return {
            path.relative_to(self._folder).as_posix(): StaticFile(
                path.read_bytes(), mimetypes.guess_type(path.name)[0] or "text/plain"
            )
            for path in sorted(self._folder.rglob("*"))
            if path.suffix in SUFFIXES
        }

    @cached_property
    def version(self) -> str:
        """A hash of all files: other content has other URLs."""
        contents = b"".join(name.encode() + file.body for name, file in self.files.items())
        return sha256(contents).hexdigest()[:12]

    def url(self, name: str) -> str:
        """URL of a file, with its version.

        Raises:
            KeyError: there is no such file; a template names it wrongly.
        """
        if name not in self.files:
            raise KeyError(name)
        return f"{self._path}/{self.version}/{name}"

    async def serve(self, request: Request, version: str, name: str) -> Response:
        """A static file. Under another version's URL, as during a release, it has this version's
        content, which is not to be cached."""
        if name not in self.files:
            raise NotFoundException
        caching = FOREVER if version == self.version else "no-store"
        return await self.files[name].response(request, caching)
