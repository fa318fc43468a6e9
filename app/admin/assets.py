"""Static files: style sheets, scripts and pictures, read once and cached by browsers for good."""

import mimetypes
from hashlib import sha256
from pathlib import Path

from fastapi import Response

from app.api.routing import Router
from app.core.exceptions import NotFoundException

FOLDER = Path(__file__).resolve().parent / "static"
FOREVER = "public, max-age=31536000, immutable"

_files = {
    path.relative_to(FOLDER).as_posix(): path.read_bytes()
    for path in sorted(FOLDER.rglob("*"))
    if path.suffix in {".css", ".js", ".svg"}
}
VERSION = sha256(b"".join(name.encode() + body for name, body in _files.items())).hexdigest()[:12]
"""A hash of all files: other content has other URLs."""

router = Router(prefix="/static", include_in_schema=False)


def url(name: str) -> str:
    """URL of a file, with its version.

    Raises:
        KeyError: there is no such file; a template names it wrongly.
    """
    return f"/static/{VERSION}/{name}" if name in _files else _files[name].decode()


@router.get("/{version}/{name:path}")
async def static_file(version: str, name: str) -> Response:
    """A static file. Under another version's URL, as during a release, it has this version's
    content, which is not to be cached."""
    if name not in _files:
        raise NotFoundException
    kind = mimetypes.guess_type(name)[0]
    caching = FOREVER if version == VERSION else "no-store"
    return Response(_files[name], media_type=kind, headers={"Cache-Control": caching})
