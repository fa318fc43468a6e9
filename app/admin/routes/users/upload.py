"""Routes of the upload of a user file: a preview, then a second request that creates the users.

The server stores no file between the two, and writes none into a form, for it holds passwords.
With scripts the browser still has it and sends it again; without, it is chosen once more. A token
in the form says that it is the file that was previewed: of another one nothing is created, and it
is previewed in its turn (ADR 15). A file with many passwords is left to a worker, and stored
encrypted until that has created its users.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import Depends, File, Form, Request, Response, UploadFile

from app.admin.deps.pages import PageDep
from app.admin.deps.services import Transfers, Uploads
from app.admin.listings.users import USERS_PATH
from app.admin.page import AdminPage, Notice
from app.api.deps.request import LongDeadline
from app.api.deps.services import Confirmations
from app.api.routing import Router
from app.api.runtime import runtime_of
from app.core.exceptions import ValidationException
from app.core.text.normalisation import is_storable
from app.services.user.file_parser import OPTIONAL
from app.services.user.upload import AT_ONCE, Preview

TEMPLATE = "users/upload.html"

router = Router(prefix=f"{USERS_PATH}/upload", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that was sent.

    Attributes:
        token: what the form carries the next time; it stands for this session and file.
        is_to_be_written: whether the users are to be created, and not only previewed.
        is_known: whether it is the file that was previewed.
        is_still_chosen: whether the browser still has it, since a script sent it.
    """

    name: str
    content: bytes
    token: str
    is_to_be_written: bool
    is_known: bool
    is_still_chosen: bool

    @property
    def is_confirmed(self) -> bool:
        return self.is_to_be_written and self.is_known


async def get_limits(request: Request) -> dict[str, Any]:
    """What the form names: the most users and bytes, the optional columns, and the most passwords
    that are hashed within a request."""
    settings = runtime_of(request).settings
    return {
        "bulk_max": settings.users.bulk_max,
        "max_bytes": settings.server.max_body_bytes,
        "optional": OPTIONAL,
        "at_once": AT_ONCE,
    }


Limits = Annotated[dict[str, Any], Depends(get_limits)]


async def get_file(
    request: Request,
    page: PageDep,
    limits: Limits,
    file: Annotated[UploadFile | None, File()] = None,
    step: Annotated[Literal["look", "write"], Form()] = "look",
    mark: Annotated[str, Form()] = "",
) -> SentFile:
    """The file. Where it is refused, the form is shown again.

    Raises:
        InvalidFormException: none was chosen, or its name cannot be stored.
    """
    with page.redisplay_on_error(TEMPLATE, **limits, sent=None, preview=None):
        if file is None or not file.filename:
            raise ValidationException(details=[{"field": "file", "message": "Choose a file"}])
        if not is_storable(file.filename):
            detail = {"field": "file", "message": "Rename the file: its name is not valid text"}
            raise ValidationException(details=[detail])
    name, content = PurePath(file.filename).name, await file.read()
    forms, digest = runtime_of(request).forms, sha256(content).hexdigest()
    owner = f"{page.admin.session_id} {name} {digest}"
    return SentFile(
        name,
        content,
        token=forms.token(owner),
        is_to_be_written=step == "write",
        is_known=forms.is_token_of(owner, mark),
        is_still_chosen="HX-Request" in request.headers,
    )


@router.get("", name="dashboard_upload")
async def upload_form(page: PageDep, limits: Limits) -> Response:
    """The form for a file of users."""
    return page.render(TEMPLATE, **limits, sent=None, preview=None, error=None)


@router.post("", name="dashboard_take_upload", dependencies=[LongDeadline])
async def upload(
    page: PageDep,
    sent: Annotated[SentFile, Depends(get_file)],
    uploads: Uploads,
    transfers: Transfers,
    limits: Limits,
    confirmations: Confirmations,
) -> Response:
    """Preview a file, or create its users if it is the one that was previewed."""
    with page.redisplay_on_error(TEMPLATE, **limits, sent=None, preview=None):
        is_trusted = await confirmations.is_confirmed(page.admin)
        preview = await uploads.submit(
            sent.name, sent.content, write=sent.is_confirmed, superusers=is_trusted
        )
        if sent.is_confirmed and preview.is_left_to_worker:
            total = len(preview.rows)
            begun = await transfers.begin_import(sent.name, sent.content, total, page.admin)
            return page.redirect(f"/transfers/{begun}")
    return await _result(page, sent, preview, limits)


async def _result(
    page: AdminPage, sent: SentFile, preview: Preview, limits: dict[str, Any]
) -> Response:
    """The preview, or where the users were created, a redirect to the table of users."""
    if preview.created is not None:
        count, name = f"{preview.created:,}", sent.name
        if preview.created == 1:
            return page.redirect("/users", Notice(f"Created 1 user from {name}"))
        return page.redirect("/users", Notice(f"Created {count} users from {name}"))
    status = 409 if sent.is_to_be_written else 200
    # In a thread: a table of hundreds of rows would stop the event loop for 50 ms.
    return await asyncio.to_thread(
        page.render, TEMPLATE, status, **limits, sent=sent, preview=preview, error=None
    )
