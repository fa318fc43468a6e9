"""The mails of an application: sent from its queue by the worker's code, and caught."""

import json
import re
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import text

from app.runtime import Runtime
from app.schemas.background.mail import SendMail
from app.services.mail.caught import CaughtMail
from app.worker.registry import send_mail

_QUEUED = "DELETE FROM pgqueuer WHERE entrypoint = 'mail' RETURNING id, payload"
_LINK = re.compile(r"https?://\S+[?&]token=\S+")


class Mailbox:
    """All mailboxes there are: each call of `receive` empties the queue, and them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        folder = runtime.caught_mails._folder
        assert folder is not None
        self._folder = folder
        self.empty()

    def empty(self) -> None:
        for mail in self._folder.glob("*.eml"):
            mail.unlink()

    async def queued(self) -> list[SendMail]:
        """The mails that wait to be sent, which are taken from the queue."""
        async with self.runtime.engine.begin() as connection:
            rows = (await connection.execute(text(_QUEUED))).all()
        return [SendMail(**json.loads(payload)) for _, payload in sorted(rows)]

    async def receive(self) -> list[CaughtMail]:
        """The mails that are sent now, the oldest first."""
        self.empty()
        for mail in await self.queued():
            await send_mail(self.runtime, mail)
        return [*reversed(await self.runtime.caught_mails.newest())]

    async def token(self, subject: str = "") -> str:
        """The token of the link in the one mail there is, or the one with this in its subject."""
        return _token_of(await self.link(subject))

    async def link(self, subject: str = "") -> str:
        """The one link with a token in the mails there are, or in those with this subject."""
        mails = [mail for mail in await self.receive() if subject in mail.subject]
        (link,) = {found[0] for mail in mails if (found := _LINK.search(mail.text))}
        return link


def token_in(mail: CaughtMail) -> str:
    return _token_of(link_in(mail))


def link_in(mail: CaughtMail) -> str:
    link = _LINK.search(mail.text)
    assert link is not None, mail.text
    return link[0]


def _token_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]
