"""A file of users: it is looked at, and sent once more to be written.

The page keeps no file, and writes none into a form, for it holds passwords. With scripts the
browser still has it and sends it again; without, it is chosen once more. A mark in the form tells
that it is the file that was looked at: of another one nothing is written, and it is looked at in
its turn (ADR 15).
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import Depends, File, Form, Request, Response, UploadFile

from app.admin.deps import PageDep
from app.admin.page import Notice, Page
from app.api.runtime import runtime_of
from app.core.exceptions import ValidationException
from app.core.normalisation import is_storable
from app.services.user.upload import Preview

TEMPLATE = "users/upload.html"


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that came in.

    Attributes:
        mark: what its form carries the next time.
        is_to_be_written: whether that was asked for.
        is_known: whether it is the one that was looked at before.
        is_still_chosen: whether the browser has it still, since a script sent it.
    """

    name: str
    content: bytes
    mark: str
    is_to_be_written: bool
    is_known: bool
    is_still_chosen: bool

    @property
    def is_confirmed(self) -> bool:
        return self.is_to_be_written and self.is_known


async def get_sent(
    request: Request,
    page: PageDep,
    file: Annotated[UploadFile | None, File()] = None,
    step: Annotated[Literal["look", "write"], Form()] = "look",
    mark: Annotated[str, Form()] = "",
) -> Sent:
    """The file. Where it is refused as a whole, its form is shown again.

    Raises:
        ValidationException: none was chosen.
    """
    page.show_again(TEMPLATE, **limits(request), sent=None, preview=None)
    if file is None or not file.filename:
        raise ValidationException(details=[{"field": "file", "message": "Choose a file"}])
    if not is_storable(file.filename):
        raise ValidationException(details=[{"field": "file", "message": "Give it another name"}])
    name, content = PurePath(file.filename).name, await file.read()
    forms, digest = runtime_of(request).forms, sha256(content).hexdigest()
    owner = f"{page.visitor.session_id} {name} {digest}"
    is_known = forms.is_token_of(owner, mark)
    is_still_chosen = "HX-Request" in request.headers
    return Sent(name, content, forms.token(owner), step == "write", is_known, is_still_chosen)


def limits(request: Request) -> dict[str, Any]:
    """What the form tells of them: users, and bytes."""
    settings = runtime_of(request).settings
    return {"bulk_max": settings.users.bulk_max, "max_bytes": settings.server.max_body_bytes}


async def get_limits(request: Request) -> dict[str, Any]:
    return limits(request)


async def show(page: Page, sent: Sent, preview: Preview, limits: dict[str, Any]) -> Response:
    """The preview, or where everybody was created, the users."""
    if preview.created is not None:
        count = f"{preview.created:,} user{'s' if preview.created != 1 else ''}"
        return page.redirect("/users", Notice(f"Created {count} from {sent.name}"))
    status = 409 if sent.is_to_be_written else 200
    # In a thread: a table of hundreds of rows would stop the event loop for 50 ms.
    return await asyncio.to_thread(
        page.render, TEMPLATE, status, **limits, sent=sent, preview=preview, error=None
    )


Uploaded = Annotated[Sent, Depends(get_sent)]
Limits = Annotated[dict[str, Any], Depends(get_limits)]
