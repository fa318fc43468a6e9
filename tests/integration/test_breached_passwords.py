"""`AUTH_BREACH_CHECK_URL`: new passwords are looked up in a list of breached ones."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from app.core.security.passwords import breaches
from app.core.security.passwords.breaches import BreachedPasswords
from tests.conftest import PASSWORD, browsing, person, running
from tests.mailbox import Mailbox
from tests.range_api import RangeApi, digest_of, range_api

API = "/api/v1"
LEAKED = "another battery staple horse"
DETAIL = {"message": "is known from a breach of another site", "code": "weak_password"}


@pytest.fixture
async def api() -> AsyncIterator[RangeApi]:
    async with range_api() as served:
        yield served


@pytest.fixture
async def passwords(api) -> AsyncIterator[BreachedPasswords]:
    known = BreachedPasswords(f"{api.url}/")
    yield known
    await known.close()


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("password_breach_checks_total", {"result": result}) or 0


async def test_a_password_in_the_list_is_known_and_others_are_not(api, passwords):
    api.know(LEAKED)

    assert await passwords.contain(LEAKED)
    assert not await passwords.contain(PASSWORD)


async def test_only_five_digits_of_the_hash_leave_the_service(api, passwords, logged):
    await passwords.contain(LEAKED)

    (head,) = api.requests
    assert head.startswith(f"GET /range/{digest_of(LEAKED)[:5]} HTTP/1.1\r\n")
    assert "add-padding: true" in head.lower()
    assert digest_of(LEAKED)[5:11] not in head.upper()
    assert digest_of(LEAKED)[:5] not in str(logged())


async def test_a_row_of_the_padding_is_no_breach(api, passwords):
    api.know(LEAKED, count=0)

    assert not await passwords.contain(LEAKED)


async def test_the_form_of_a_character_does_not_matter(api, passwords):
    api.know("caf\u00e9 battery staple")

    assert await passwords.contain("cafe\u0301 battery staple")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>not found</html>"),
        (200, b"\x1f\x8b\x08" + b"x" * 100),
        (200, digest_of(LEAKED)[5:].encode() + b":lots"),
        (200, (digest_of(LEAKED)[5:].encode() + b":3\n") * 14_000),  # more than the bound
        (302, b""),
        (429, digest_of(LEAKED)[5:].encode() + b":3"),
        (503, b""),
    ],
)
async def test_a_broken_answer_refuses_nobody(api, passwords, logged, status, body):
    api.status, api.body = status, body
    before = counted("failed")

    assert not await passwords.contain(LEAKED)

    assert counted("failed") == before + 1
    assert [line["event"] for line in logged()] == ["breach_check_failed"]


async def test_a_slow_answer_is_waited_for_once_each_until_nothing_is_asked(
    api, passwords, monkeypatch
):
    api.body = None
    monkeypatch.setattr(breaches, "TIMEOUT", 0.1)
    begun, skipped = time.monotonic(), counted("skipped")

    for _ in range(20):
        assert not await passwords.contain(LEAKED)

    assert time.monotonic() - begun < 1
    assert len(api.requests) == breaches.FAILURES_TO_OPEN
    assert counted("skipped") == skipped + 20 - breaches.FAILURES_TO_OPEN


async def test_it_is_asked_again_after_the_pause(api, passwords, monkeypatch):
    monkeypatch.setattr(breaches, "PAUSE", 0.0)
    api.status = 503
    for _ in range(breaches.FAILURES_TO_OPEN):
        await passwords.contain(LEAKED)

    api.status = 200
    api.know(LEAKED)

    assert await passwords.contain(LEAKED)


async def test_a_server_that_is_down_refuses_nobody():
    async with range_api() as gone:
        pass
    passwords = BreachedPasswords(gone.url)

    assert not await passwords.contain(LEAKED)
    await passwords.close()


async def test_without_the_setting_nothing_is_asked():
    passwords = BreachedPasswords(None)

    assert not await passwords.contain(LEAKED)
    await passwords.close()


async def test_every_way_to_set_a_password_refuses_one_that_is_known(api, settings, client):
    checking = settings.replaced(auth={"breach_check_url": api.url})
    async with running(checking) as app, browsing(app) as browser:
        runtime = app.state.runtime
        mailbox = Mailbox(runtime)
        root = await person(browser, runtime, "root", is_superuser=True)
        ada = await person(browser, runtime, "ada")
        await mailbox.queued()
        api.know(LEAKED)

        async def link(path: str, body: dict[str, str], caller) -> str:
            await caller(path, json=body)
            return await mailbox.token()

        new = {"email": "new@example.com", "password": LEAKED}
        sign_up = await browser.post(f"{API}/users", json=new)
        created = await root.post("/users", json=new)
        change = {"current_password": PASSWORD, "new_password": LEAKED}
        changed = await ada.post("/auth/password", json=change)
        reset_token = await link("/auth/password-recovery", {"email": ada.email}, ada.post)
        reset = {"token": reset_token, "new_password": LEAKED}
        was_reset = await browser.post(f"{API}/auth/password-reset", json=reset)
        invited = {"email": "guest@example.com"}
        guest_token = await link("/users/invitations", invited, root.post)
        accept = {"token": guest_token, "password": LEAKED}
        accepted = await browser.post(f"{API}/auth/invitation", json=accept)

        api.answer()
        again = await browser.post(f"{API}/auth/password-reset", json=reset)

    for answer, field in (
        (sign_up, "password"),
        (created, "password"),
        (changed, "new_password"),
        (was_reset, "new_password"),
        (accepted, "password"),
    ):
        assert (answer.status_code, answer.json()["details"]) == (422, [{"field": field, **DETAIL}])
    assert again.status_code == 204  # what was refused left the link valid


async def test_no_connection_is_held_while_it_asks(api, settings, client):
    checking = settings.replaced(auth={"breach_check_url": api.url})
    async with running(checking) as app, browsing(app) as browser:
        api.body = None
        pool = app.state.runtime.engine.pool
        new = {"email": "new@example.com", "password": LEAKED}
        request = asyncio.create_task(browser.post(f"{API}/users", json=new))
        async with asyncio.timeout(5):
            await api.asked.wait()

        held = pool.checkedout()
        answer = await request

    assert held == 0
    assert answer.status_code == 201
