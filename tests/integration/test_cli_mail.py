"""`backend test-mail`, what `backend doctor` says of mail, and a start without it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.bootstrap import warn_without_mail
from app.core.config import Settings
from tests.conftest import Servers
from tests.integration.test_mails import with_settings
from tests.process import CLI, environment
from tests.smtp_server import mail_server

Run = Callable[..., Awaitable[tuple[int, str]]]
FROM = "Acme <no-reply@example.com>"


@pytest.fixture
def run(servers: Servers, client) -> Run:
    """Run a command; its exit status and its output."""

    async def run(*command: str, **settings: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *CLI,
            *command,
            env=environment(servers) | {"COLUMNS": "200", "LOG_LEVEL": "ERROR"} | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, " ".join(output.decode().split())

    return run


def sending(port: int, url: str = "smtp://127.0.0.1:{}") -> dict[str, str]:
    return {
        "MAIL_URL": url.format(port),
        "MAIL_FROM": FROM,
        "MAIL_LINK_BASE_URL": "https://app.example.com",
    }


async def test_a_test_mail_arrives_and_the_servers_answer_is_printed(run):
    async with mail_server() as server:
        code, output = await run("test-mail", "ada@example.com", **sending(server.port))

        (message,) = server.received
    assert code == 0, output
    assert "accepted: 2.0.0 Ok: queued as 1" in output
    assert message["To"] == "ada@example.com"
    assert message["From"] == FROM


async def test_a_refused_test_mail_is_an_error_with_the_reason(run):
    async with mail_server() as server:
        server.recipient_reply = "550 5.7.1 relaying denied"
        code, output = await run("test-mail", "ada@example.com", **sending(server.port))

    assert code == 1
    assert "not sent: 550 5.7.1 relaying denied" in output
    assert "Traceback" not in output


async def test_a_test_mail_without_a_server_says_what_to_do(run):
    async with mail_server() as server:
        port = server.port
    code, output = await run("test-mail", "ada@example.com", **sending(port))

    assert code == 1
    assert f"127.0.0.1:{port} cannot be reached" in output
    assert "is MAIL_URL right?" in output


async def test_a_test_mail_to_no_address_is_refused(run):
    assert await run("test-mail", "ada") == (1, "email: not a valid email address")


async def test_the_doctor_logs_in_and_sends_nothing(run):
    async with mail_server(auth_require_tls=False) as server:
        server.logins = ("ada", "secret")
        url = "smtp://ada:{}@127.0.0.1:{{}}"
        good = await run("doctor", **sending(server.port, url.format("secret")))
        bad = await run("doctor", **sending(server.port, url.format("hunter2")))

        assert server.received == []
    assert f"127.0.0.1:{server.port}, unencrypted, logged in" in good[1]
    assert bad[0] == 1
    assert "refused the login: 535" in bad[1]
    assert "are user and password in MAIL_URL right" in bad[1]
    assert "hunter2" not in bad[1]


async def test_the_doctor_explains_that_starttls_is_missing(run):
    async with mail_server() as server:
        url = "smtp://localhost:{}?starttls=required"
        code, output = await run("doctor", **sending(server.port, url))

    assert code == 1
    assert "offers no STARTTLS" in output
    assert "?starttls=off" in output


async def test_the_doctor_says_where_no_mail_is_sent(run, servers, settings: Settings):
    assert settings.auth.secret_key is not None
    _, output = await run(
        "doctor",
        ENVIRONMENT="production",
        AUTH_SECRET_KEY=settings.auth.secret_key.get_secret_value(),
    )

    assert "set MAIL_URL and MAIL_FROM to send mail" in output
    assert "✗ mail" not in output


async def test_a_start_without_mail_says_so_once(client, runtime, logged):
    warn_without_mail(with_settings(runtime, url=None))
    warn_without_mail(runtime)

    assert [line["event"] for line in logged()] == ["mail_off"]
