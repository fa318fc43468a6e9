"""Mails from a transaction to the server: once each, recorded, and given up visibly."""

from uuid import uuid4

import pytest
from jinja2 import UndefinedError
from pydantic import SecretStr
from sqlalchemy import text

from app.core.jobs import JobGivenUp
from app.embedded import mail_catcher
from app.embedded.mail_catcher import MailCatcher
from app.repositories.background.mail import MailRepository
from app.runtime import Runtime
from app.schemas.background.mail import MailContext, PurgeMails, SendMail
from app.services.mail.caught import CaughtMails
from app.services.mail.errors import MailDeferredError
from app.services.mail.mailer import Mailer
from app.services.mail.service import ATTEMPTS, masked
from app.worker.registry import purge_mails, send_mail
from app.worker.worker import running_jobs
from tests.polling import within_async
from tests.smtp_server import mail_server


def mail(to: str = "ada@example.com") -> SendMail:
    return SendMail(mail="test-mail", to=to, data={"requested_at": "now"})


def with_settings(runtime: Runtime, **mail: object) -> Runtime:
    """A runtime with other settings of mail."""
    jobs = {"poll": 0.2}
    settings = runtime.settings.replaced(mail=mail, jobs=jobs)
    parts = {name: getattr(runtime, name) for name in Runtime.__slots__}
    return Runtime(**parts | {"settings": settings, "mailer": Mailer(settings, None)})


@pytest.fixture
async def server():
    async with mail_server() as server:
        yield server


@pytest.fixture
def sending(client, runtime, server) -> Runtime:
    """A runtime whose mails go to `server`."""
    url = SecretStr(f"smtp://127.0.0.1:{server.port}")
    return with_settings(runtime, url=url, sender="Acme <no-reply@example.com>", timeout=5.0)


async def enqueued(runtime: Runtime, *mails: SendMail, commits: bool = True) -> None:
    async with runtime.session_maker() as db:
        for each in mails:
            await runtime.mail_service(db).enqueue(each)
        await (db.commit() if commits else db.rollback())


async def record(runtime: Runtime, sent: SendMail) -> tuple[str, int, str]:
    async with runtime.session_maker() as db:
        found = await MailRepository(db).find(sent.id)
    assert found is not None
    return found.state, found.attempts, found.reply


async def test_a_mail_is_sent_if_its_transaction_is_committed(sending, server):
    committed, other = mail(), mail("eve@example.com")
    await enqueued(sending, other, commits=False)
    await enqueued(sending, committed)

    async with running_jobs(sending):
        assert await within_async(10, server.has_received)

    assert server.ids == [f"<{committed.id}@example.com>"]
    assert server.envelopes[0].rcpt_tos == ["ada@example.com"]


async def test_an_accepted_mail_is_recorded_and_not_sent_again(sending, server):
    sent = mail()
    await send_mail(sending, sent)
    await send_mail(sending, sent)

    assert len(server.received) == 1
    assert await record(sending, sent) == ("sent", 1, "2.0.0 Ok: queued as 1")


async def test_a_refused_mail_is_given_up_with_what_the_server_said(sending, server):
    server.recipient_reply = "550 5.1.1 <ada@example.com>: no such user"
    refused = mail()

    with pytest.raises(JobGivenUp, match="no such user"):
        await send_mail(sending, refused)

    assert await record(sending, refused) == ("failed", 1, "550 5.1.1 (address): no such user")


async def test_a_mail_that_failed_can_be_sent_when_its_job_is_retried(sending, server):
    again = mail()
    server.recipient_reply = "550 no"
    with pytest.raises(JobGivenUp):
        await send_mail(sending, again)
    server.recipient_reply = ""

    await send_mail(sending, again)

    assert (await record(sending, again))[:2] == ("sent", 1)


async def test_a_deferred_mail_is_tried_again_with_the_same_message_id(sending, server):
    deferred = mail()
    server.drops = 1
    with pytest.raises(MailDeferredError):
        await send_mail(sending, deferred)
    state = await record(sending, deferred)

    await send_mail(sending, deferred)

    assert state[:2] == ("deferred", 1)
    assert (await record(sending, deferred))[:2] == ("sent", 2)
    assert len(server.ids) == 2
    assert len(set(server.ids)) == 1


async def test_after_the_last_attempt_a_mail_has_failed(sending, server):
    server.data_reply = "451 4.3.0 try later"
    late = mail()
    async with sending.session_maker() as db:
        values = {"kind": "test-mail", "recipient": "", "state": "deferred", "reply": ""}
        await MailRepository(db).record(late.id, values | {"attempts": ATTEMPTS - 1})
        await db.commit()

    with pytest.raises(JobGivenUp, match="try later"):
        await send_mail(sending, late)

    assert (await record(sending, late))[:2] == ("failed", ATTEMPTS)


async def test_a_mail_that_cannot_be_made_is_recorded_without_its_values(sending, server):
    without_values = SendMail(mail="test-mail", to="ada@example.com")

    with pytest.raises(UndefinedError):
        await send_mail(sending, without_values)

    assert await record(sending, without_values) == ("deferred", 1, "UndefinedError")
    assert server.ids == []


async def test_a_kind_of_another_release_waits_for_a_worker_that_knows_it(sending):
    unknown = SendMail(mail="of-tomorrow", to="ada@example.com")

    with pytest.raises(MailDeferredError, match="another release"):
        await send_mail(sending, unknown)

    assert (await record(sending, unknown))[0] == "deferred"


async def test_a_mail_without_a_recipient_is_dropped(sending, server):
    nobody = SendMail(mail="test-mail")
    await send_mail(sending, nobody)

    assert (await record(sending, nobody))[0] == "dropped"
    assert server.received == []


async def test_without_mail_url_a_mail_fails_and_says_so(client, runtime):
    off = with_settings(runtime, url=None)
    unsent = mail()

    with pytest.raises(JobGivenUp, match="MAIL_URL is not set"):
        await send_mail(off, unsent)

    assert not off.mailer.is_available
    assert (await record(off, unsent))[0] == "failed"


async def test_neither_the_address_nor_a_secret_is_recorded(sending, server):
    sent = mail("ada.lovelace@example.com")
    await send_mail(sending, sent)
    async with sending.engine.connect() as connection:
        (row,) = (await connection.execute(text("SELECT mails::text FROM mails"))).scalars()

    assert "ada.lovelace" not in row
    assert "a…@example.com" in row


@pytest.mark.parametrize(
    ("email", "shown"),
    [("ada@example.com", "a…@example.com"), ("a@b", "a…@b"), ("ada", ""), ("", "")],
)
def test_an_address_is_masked(email, shown):
    assert masked(email) == shown


async def test_records_are_deleted_after_their_time(sending):
    old, new = mail(), mail()
    await send_mail(sending, old)
    async with sending.engine.begin() as connection:
        await connection.execute(text("UPDATE mails SET created_at = now() - interval '91 days'"))
    await send_mail(sending, new)

    await purge_mails(sending, PurgeMails())

    async with sending.session_maker() as db:
        assert await MailRepository(db).find(old.id) is None
        assert await MailRepository(db).find(new.id) is not None


async def test_without_mail_url_mails_are_caught_outside_production(client, runtime):
    caught = SendMail(
        id=uuid4(), mail="test-mail", to="ädä@bücher.example", data={"requested_at": "now"}
    )
    await send_mail(runtime, caught)

    (found, *_) = await runtime.caught_mails.newest()
    assert runtime.mailer.catches
    assert found.to == "ädä@xn--bcher-kva.example"
    assert found.subject == "Test mail from Backend API"
    assert ("Message-ID", f"<{caught.id}@localhost>") in found.headers
    assert "sending works" in found.text
    assert "<h1" in found.html
    assert (await runtime.caught_mails.get(found.name)).text == found.text
    assert (await record(runtime, caught))[0] == "sent"


async def test_two_processes_keep_the_last_mails_in_one_folder(monkeypatch, tmp_path, runtime):
    monkeypatch.setattr(mail_catcher, "KEPT", 3)
    catchers = [MailCatcher(tmp_path / "mail") for _ in range(2)]
    for number in range(4):
        mailer = Mailer(runtime.settings, catchers[number % 2])
        context = MailContext(f"ada{number}@example.com", {"requested_at": "now"})
        async with mailer.sender.connected() as session:
            await session.send(mailer.message(uuid4(), "test-mail", context))
    for catcher in catchers:
        catcher.close()

    found = await CaughtMails(tmp_path / "mail").newest()

    assert [each.to for each in found] == [f"ada{number}@example.com" for number in (3, 2, 1)]
