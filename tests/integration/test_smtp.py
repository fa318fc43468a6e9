"""SMTP sessions with a real server: encryption, login, refusals, and what each failure means."""

import asyncio
import ssl
from contextlib import closing
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from app.core.config import SmtpServer, mailbox, smtp_server
from app.services.mail.errors import MailDeferredError, MailError, MailRefusedError
from app.services.mail.message import compose
from app.services.mail.rendering import MailContent
from app.services.mail.smtp import SmtpSender
from tests.smtp_server import MailServer, mail_server
from tests.tls import self_signed

CONTENT = MailContent("Hello", "<p>Héllo</p>", "Héllo")
SENDER = mailbox("Acme <no-reply@example.com>")
LOGIN = "ada@example.com", "p/:@%ss"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate of `localhost`, which signs itself, with its key beside it."""
    return self_signed(tmp_path_factory.mktemp("tls"), "localhost", "DNS:localhost")


@pytest.fixture
def theirs(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    return context


@pytest.fixture
def trusting(certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def sender(url: str, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> SmtpSender:
    async def server() -> SmtpServer:
        return smtp_server(url)

    return SmtpSender(server, timeout, "client.test", tls)


async def send(to: SmtpSender, recipient: str = "ada@example.com") -> str:
    async with to.connected() as session:
        return await session.send(compose(CONTENT, uuid4(), SENDER, recipient))


async def failure(to: SmtpSender, recipient: str = "ada@example.com") -> MailError:
    with pytest.raises(MailError) as caught:
        await send(to, recipient)
    return caught.value


async def test_a_mail_arrives_as_it_was_composed():
    async with mail_server() as server:
        reply = await send(sender(f"smtp://127.0.0.1:{server.port}"))

        (message,) = server.received
        (envelope,) = server.envelopes
    assert reply.startswith("2.0.0 Ok: queued as")
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@example.com", ["ada@example.com"])
    assert message["Subject"] == "Hello"
    assert [part.get_content().strip() for part in message.iter_parts()] == [
        "Héllo",
        "<p>Héllo</p>",
    ]
    assert server.quits == 1


async def test_starttls_encrypts_and_the_login_follows(theirs, trusting):
    async with mail_server(tls=theirs, auth_required=True) as server:
        server.logins = LOGIN
        url = f"smtp://ada%40example.com:p%2F%3A%40%25ss@localhost:{server.port}?starttls=required"

        await send(sender(url, tls=trusting))

        assert len(server.received) == 1


async def test_smtps_is_encrypted_from_the_beginning(theirs, trusting):
    async with mail_server(tls=theirs, implicit=True, auth_require_tls=False) as server:
        server.logins = LOGIN
        url = f"smtps://ada%40example.com:p%2F%3A%40%25ss@localhost:{server.port}"

        await send(sender(url, tls=trusting))

        assert len(server.received) == 1


async def test_a_self_signed_certificate_is_not_trusted(theirs):
    async with mail_server(tls=theirs, implicit=True) as server:
        found = [
            await failure(sender(f"smtps://localhost:{server.port}")),
        ]
    async with mail_server(tls=theirs) as server:
        found.append(await failure(sender(f"smtp://localhost:{server.port}?starttls=required")))

    assert all(isinstance(error, MailDeferredError) for error in found)
    assert all("is not trusted: self-signed certificate" in str(error) for error in found)


async def test_without_starttls_nothing_is_sent_in_clear():
    async with mail_server() as server:
        error = await failure(sender(f"smtp://localhost:{server.port}?starttls=required"))

        assert "offers no STARTTLS" in str(error)
        assert server.received == []


async def test_tls_where_there_is_none_is_explained():
    async with mail_server() as server:
        error = await failure(sender(f"smtps://localhost:{server.port}", 3.0))

    assert isinstance(error, MailDeferredError)
    assert "does not begin with TLS" in str(error)
    assert "smtp://" in error.advice


async def test_a_wrong_password_is_no_fault_of_the_mail_and_is_not_repeated():
    async with mail_server(auth_require_tls=False) as server:
        server.logins = LOGIN
        error = await failure(sender(f"smtp://ada:hunter2@localhost:{server.port}"))

    assert isinstance(error, MailDeferredError)
    assert "refused the login: 535" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 <ada@example.com>: no such user", MailRefusedError),
        ("553 5.1.3 bad address", MailRefusedError),
        ("450 4.2.1 mailbox busy", MailDeferredError),
        ("421 4.3.2 shutting down", MailDeferredError),
    ],
)
@pytest.mark.parametrize("step", ["recipient_reply", "data_reply"])
async def test_the_server_says_whether_a_refusal_is_for_good(step, reply, kind):
    async with mail_server() as server:
        setattr(server, step, reply)
        error = await failure(sender(f"smtp://127.0.0.1:{server.port}"))

    assert type(error) is kind
    assert reply[:3] in str(error)
    assert "ada@example.com" not in str(error)


async def test_a_server_that_is_down_may_come_back():
    async with mail_server() as server:
        port = server.port

    error = await failure(sender(f"smtp://127.0.0.1:{port}"))

    assert isinstance(error, MailDeferredError)
    assert "cannot be reached" in str(error)


async def test_an_unresolvable_mail_server_is_a_temporary_failure():
    error = await failure(sender("smtp://mail.invalid?starttls=off"))

    assert isinstance(error, MailDeferredError)
    assert "mail.invalid:25 cannot be reached" in str(error)


async def test_a_server_that_says_nothing_is_left_in_time():
    with closing(
        await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    ) as server:
        port = server.sockets[0].getsockname()[1]
        began = monotonic()
        error = await failure(sender(f"smtp://127.0.0.1:{port}", 0.5))

    assert isinstance(error, MailDeferredError)
    assert "did not answer in time" in str(error)
    assert monotonic() - began < 5


async def test_a_server_that_is_slow_with_every_answer_is_left_in_time_too():
    async with mail_server() as server:
        server.delay = 5.0
        began = monotonic()
        error = await failure(sender(f"smtp://127.0.0.1:{server.port}", 0.5))

    assert isinstance(error, MailDeferredError)
    assert monotonic() - began < 4


async def test_a_connection_lost_after_the_content_is_a_failure_for_now():
    async with mail_server() as server:
        server.drops = 1
        error = await failure(sender(f"smtp://127.0.0.1:{server.port}"))

    assert isinstance(error, MailDeferredError)


async def test_an_accepted_mail_is_accepted_though_the_goodbye_fails(monkeypatch):
    async def cut(self: MailServer, server, *_):
        server.transport.abort()
        return "221 Bye"

    monkeypatch.setattr(MailServer, "handle_QUIT", cut)
    async with mail_server() as server:
        await send(sender(f"smtp://127.0.0.1:{server.port}"))

        assert len(server.received) == 1


async def test_letters_before_the_at_sign_need_a_server_that_takes_them():
    async with mail_server(enable_SMTPUTF8=True) as server:
        await send(sender(f"smtp://127.0.0.1:{server.port}"), "ädä@bücher.example")

        assert server.envelopes[0].rcpt_tos == ["ädä@xn--bcher-kva.example"]
        assert server.received[0]["To"] == "ädä@xn--bcher-kva.example"
    async with mail_server(enable_SMTPUTF8=False) as server:
        error = await failure(sender(f"smtp://127.0.0.1:{server.port}"), "ädä@bücher.example")

    assert isinstance(error, MailRefusedError)


async def test_a_domain_in_any_script_needs_nothing_of_the_server():
    async with mail_server(enable_SMTPUTF8=False) as server:
        await send(sender(f"smtp://127.0.0.1:{server.port}"), "ada@bücher.example")

        assert server.envelopes[0].rcpt_tos == ["ada@xn--bcher-kva.example"]
