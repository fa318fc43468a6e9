"""R16: mails while the SMTP server, PostgreSQL or a worker fails."""

import asyncio
import signal

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.embedded.files import free_port
from app.runtime import Runtime
from app.schemas.background.mail import SendMail
from app.services.mail.mailer import Mailer
from app.worker.job import Job
from app.worker.registry import send_mail
from app.worker.worker import running_jobs
from tests.conftest import Servers
from tests.faults.conftest import Postgres, Site
from tests.polling import within_async
from tests.process import CLI, environment
from tests.smtp_server import mail_server

JOBS = [Job(SendMail, send_mail, concurrency=5, attempts=30, first_delay=0.1, max_delay=0.5)]
"""As in production, but for the delays."""


def mailing(runtime: Runtime, port: int, timeout: float = 2.0) -> Runtime:
    """A runtime whose mails go to a port of this machine."""
    mail = {
        "url": SecretStr(f"smtp://127.0.0.1:{port}"),
        "sender": "no-reply@example.com",
        "timeout": timeout,
    }
    settings: Settings = runtime.settings.replaced(mail=mail, jobs={"poll": 0.2, "drain": 5.0})
    parts = {name: getattr(runtime, name) for name in Runtime.__slots__}
    return Runtime(**parts | {"settings": settings, "mailer": Mailer(settings, None)})


async def enqueue(runtime: Runtime, number: int) -> tuple[set[str], set[str]]:
    """Enqueue mails, every third of which is rolled back; Message-IDs of both."""
    committed, undone = set[str](), set[str]()
    for i in range(number):
        mail = SendMail(mail="test-mail", to=f"ada{i}@example.com", data={"requested_at": "now"})
        async with runtime.session_maker() as db:
            await runtime.mail_service(db).enqueue(mail)
            await (db.rollback() if i % 3 == 2 else db.commit())
        (undone if i % 3 == 2 else committed).add(f"<{mail.id}@example.com>")
    return committed, undone


async def states(runtime: Runtime) -> dict[str, int]:
    async with runtime.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT state, count(*) AS mails FROM mails GROUP BY state")
        )
        return {row.state: row.mails for row in rows}


async def are_over(runtime: Runtime) -> bool:
    async with runtime.engine.connect() as connection:
        query = "SELECT count(*) FROM pgqueuer WHERE status <> 'failed'"
        return bool(await connection.scalar(text(query)) == 0)


@pytest.fixture
async def empty(client, runtime: Runtime) -> Runtime:
    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer, pgqueuer_log"))
    return runtime


async def test_r16_mails_wait_for_a_server_that_is_down(empty, record):
    port = free_port()
    sending = mailing(empty, port)
    committed, undone = await enqueue(sending, 15)
    async with running_jobs(sending, JOBS):
        await asyncio.sleep(1.5)
        waiting = await states(sending)
        health = await sending.health.report()
        async with mail_server(port) as server:
            assert await within_async(30, lambda: are_over(sending))

            assert set(server.ids) == committed
            assert len(server.ids) == len(committed)
    assert set(waiting) == {"deferred"}
    assert health.status == "healthy"
    assert not undone & set(server.ids)
    record("R16", "SMTP down for 1.5 s", f"{len(committed)} of {len(committed)} mails, once each")


async def test_r16_a_slow_server_holds_up_its_mails_and_nothing_else(empty, root):
    async with mail_server() as server:
        server.delay = 5.0
        sending = mailing(empty, server.port, timeout=1.0)
        committed, _ = await enqueue(sending, 3)
        async with running_jobs(sending, JOBS):
            await asyncio.sleep(2.5)
            health = await root.client.get("/health/ready")
            users = await root.get("/users")
            server.delay = 0.0
            assert await within_async(30, lambda: are_over(sending))

    assert (health.status_code, users.status_code) == (200, 200)
    assert set(server.ids) >= committed  # what it took after the timeout, it may have taken twice


async def test_r16_a_server_that_refuses_some_gets_all_others(empty):
    async with mail_server() as server:
        refusals = {"ada0@example.com": "550 no such user", "ada1@example.com": "450 busy"}
        busy = [3]

        def reply(address: str) -> str:
            if address == "ada1@example.com":
                busy[0] -= 1
                return refusals[address] if busy[0] >= 0 else ""
            return refusals.get(address, "")

        server.reply_to = reply
        sending = mailing(empty, server.port)
        committed, undone = await enqueue(sending, 9)
        async with running_jobs(sending, JOBS):
            assert await within_async(30, lambda: are_over(sending))

        assert len(server.ids) == len(set(server.ids)) == len(committed) - 1
        assert not undone & set(server.ids)
    assert await states(sending) == {"sent": len(committed) - 1, "failed": 1}


async def test_r16_a_server_that_drops_after_the_content_gets_the_same_mail_again(empty):
    async with mail_server() as server:
        server.drops = 4
        sending = mailing(empty, server.port)
        committed, undone = await enqueue(sending, 12)
        async with running_jobs(sending, JOBS):
            assert await within_async(30, lambda: are_over(sending))

    assert set(server.ids) == committed
    assert len(server.ids) == len(committed) + 4  # each with the Message-ID of its first attempt
    assert not undone & set(server.ids)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
async def test_r16_an_accepted_mail_is_recorded_when_postgresql_is_back(
    site: Site, postgres: Postgres, how: signal.Signals
):
    runtime = site.runtime
    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer, pgqueuer_log, mails"))
    async with mail_server() as server:
        server.delay = 1.0
        sending = mailing(runtime, server.port, timeout=30.0)
        committed, _ = await enqueue(sending, 1)
        async with running_jobs(sending, JOBS):
            await asyncio.sleep(0.6)  # it is being sent
            await postgres.stop(how)
            assert await within_async(5, server.has_received)
            await asyncio.sleep(1)
            await postgres.start()

            async def is_recorded() -> bool:
                return await states(sending) == {"sent": 1}

            assert await within_async(20, is_recorded)
            assert await within_async(20, lambda: are_over(sending))
            await asyncio.sleep(1)

    assert server.ids == [*committed]


async def test_r16_a_worker_that_stops_at_once_records_the_mail_that_was_accepted(empty):
    async with mail_server() as server:
        sending = mailing(empty, server.port)
        committed, _ = await enqueue(sending, 1)
        async with empty.engine.connect() as connection, running_jobs(sending, JOBS) as worker:
            await connection.execute(text("LOCK TABLE mails IN SHARE MODE"))  # reads go on
            assert await within_async(10, server.has_received)
            await asyncio.sleep(0.2)  # its record waits
            worker.stop_at_once()
            await asyncio.sleep(0.5)
            await connection.rollback()
        recorded = await states(sending)
        async with running_jobs(sending, JOBS):
            assert await within_async(30, lambda: are_over(sending))

    assert recorded == {"sent": 1}
    assert server.ids == [*committed]


@pytest.mark.direct
async def test_r16_a_worker_killed_while_sending_loses_no_mail(
    empty, servers: Servers, record, tmp_path
):
    """A mail that was accepted and not recorded comes twice, with the same Message-ID."""
    async with mail_server() as server:
        server.delay = 0.05
        sending = mailing(empty, server.port)
        committed, undone = await enqueue(sending, 60)
        settings = environment(servers) | {
            "MAIL_URL": f"smtp://127.0.0.1:{server.port}",
            "MAIL_FROM": "no-reply@example.com",
            "JOBS_LOST_AFTER": "1",
            "JOBS_POLL": "0.2",
        }
        kills = 0
        async with asyncio.timeout(100):
            while not await are_over(empty):
                with (tmp_path / "log").open("ab") as log:
                    worker = await asyncio.create_subprocess_exec(
                        *CLI, "worker", env=settings, stdout=log, stderr=log
                    )
                before = len(server.ids)

                async def is_far(before: int = before) -> bool:
                    return len(server.ids) >= before + 8 or await are_over(empty)

                assert await within_async(30, is_far)
                worker.kill()
                await worker.wait()
                kills += 1

    doubled = len(server.ids) - len(set(server.ids))
    record("R16", f"{kills} workers killed while sending", f"none lost, {doubled} doubled")
    assert set(server.ids) == committed
    assert not undone & set(server.ids)
    assert doubled <= 5 * kills
