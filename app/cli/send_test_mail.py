"""`backend test-mail`: sends a mail, to check the settings of mail."""

from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError

from app.bootstrap import upgrade_schema
from app.cli.running import command_settings, console, fail, run_command
from app.core.config import Settings
from app.core.jobs import JobGivenUp
from app.runtime import open_runtime
from app.schemas.background.mail import SendMail
from app.schemas.base import Email
from app.services.mail.errors import MailDeferredError

_To = Annotated[str, typer.Argument(help="Recipient of the mail.", metavar="EMAIL")]


def test_mail(to: _To) -> None:
    """Send a test mail at once, and tell what the server answered."""
    settings = command_settings()
    try:
        address = TypeAdapter(Email).validate_python(to)
    except ValidationError as error:
        fail(f"email: {error.errors(include_input=False)[0]['msg']}")
    run_command(_send(settings, address))


async def _send(settings: Settings, to: str) -> None:
    """By the code of the job, past the queue: it needs no worker."""
    at = f"{datetime.now(UTC):%-d %B %Y, %H:%M} UTC"
    mail = SendMail(mail="test-mail", to=to, data={"requested_at": at})
    async with open_runtime(settings) as runtime, runtime.session_maker() as db:
        if not settings.is_production:
            await upgrade_schema(runtime)
        try:
            reply = await runtime.mail_service(db).deliver(mail)
        except JobGivenUp as error:
            _explain(str(error), "")
        except MailDeferredError as error:
            _explain(str(error), error.advice)
        is_caught = runtime.mailer.catches
    console.print(f"{'caught' if is_caught else 'accepted'}: {reply}", soft_wrap=True, markup=False)
    if is_caught:
        console.print("MAIL_URL is not set; /api/v1/dashboard/mail shows the mail", soft_wrap=True)
    else:
        console.print(f"look into the mailbox of {to}, and its spam folder", soft_wrap=True)


def _explain(reason: str, advice: str) -> NoReturn:
    fail(f"not sent: {reason}" + (f"\n{advice}" if advice else ""))
