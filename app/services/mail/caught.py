"""`CaughtMails`: reads the mails that were caught instead of sent."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

from app.core.exceptions import NotFoundException


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A mail as its recipient would have got it.

    Attributes:
        name: identifies it among the caught mails.
        headers: the ones worth a look, in order.
    """

    name: str
    at: datetime | None
    to: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class CaughtMails:
    """The last mails that were caught by any process.

    Args:
        folder: where they are; None where mails are sent.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def newest(self) -> list[CaughtMail]:
        """All of them, the newest first."""
        return await asyncio.to_thread(lambda: [*map(_read, self._paths())])

    async def get(self, name: str) -> CaughtMail:
        """
        Raises:
            NotFoundException: there is none of this name, or not any more.
        """
        for path in self._paths():
            if path.stem == name:
                return await asyncio.to_thread(_read, path)
        raise NotFoundException("There is no such mail any more")

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True) if self._folder else []


_HEADERS = "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"


def _read(path: Path) -> CaughtMail:
    message: EmailMessage = message_from_bytes(path.read_bytes(), policy=SMTPUTF8)
    date = message["Date"]
    return CaughtMail(
        path.stem,
        date.datetime if date is not None else None,
        str(message["To"] or ""),
        str(message["Subject"] or ""),
        tuple((name, str(message[name])) for name in _HEADERS if name in message),
        _part(message, "plain"),
        _part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
