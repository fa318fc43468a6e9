"""R19: what is valid once is valid once, also when two real processes get it at the same moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.access import API
from tests.conftest import Person
from tests.integration import test_account_deletion, test_email_change
from tests.integration.test_invitations import ACCEPT, NEW, invite
from tests.mailbox import Mailbox
from tests.mfa import mfa_token, set_up
from tests.process import instance

pytestmark = pytest.mark.direct

AT_ONCE = 4
"""Requests to each process."""
Prepared = tuple[str, dict[str, Any]]
"""Path and body of a request that uses something up."""


@pytest.fixture(scope="module")
def urls(servers, app, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("instances")
    start = partial(
        instance,
        servers,
        folder,
        JOBS_IN_PROCESS="false",  # the mails are the test's
        LIMITER_SECOND_FACTOR="100/minute",
    )
    with start() as one, start() as other:
        yield [one.url, other.url]


@pytest.fixture
async def processes(urls) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=url, timeout=30) for url in urls]
        yield [await stack.enter_async_context(client) for client in clients]


async def password_reset(ada: Person, mailbox: Mailbox) -> Prepared:
    await ada.post("/auth/password-recovery", json={"email": ada.email})
    token = await mailbox.token("new password")
    return f"{API}/auth/password-reset", {"token": token, "new_password": NEW}


async def email_verification(ada: Person, mailbox: Mailbox) -> Prepared:
    await ada.post("/users/me/email-verification")
    return f"{API}/auth/email-verification", {"token": await mailbox.token()}


async def email_change(ada: Person, mailbox: Mailbox) -> Prepared:
    await test_email_change.requested(ada)
    return test_email_change.CONFIRM, {"token": await mailbox.token()}


async def email_change_undo(ada: Person, mailbox: Mailbox) -> Prepared:
    token = await test_email_change.changed(ada.client, ada, mailbox, "new@example.com")
    return test_email_change.UNDO, {"token": token}


async def deletion_undo(ada: Person, mailbox: Mailbox) -> Prepared:
    await test_account_deletion.delete(ada)
    return test_account_deletion.UNDO, {"token": await mailbox.token()}


async def second_step(ada: Person, _: Mailbox) -> Prepared:
    app = await set_up(ada)
    return f"{API}/auth/mfa", {"mfa_token": await mfa_token(ada), "code": app.code}


async def recovery_code(ada: Person, _: Mailbox) -> Prepared:
    app = await set_up(ada)
    code = app.recovery_codes[0]
    return f"{API}/auth/mfa", {"mfa_token": await mfa_token(ada), "code": code}


@pytest.mark.parametrize(
    "prepare",
    [
        password_reset,
        email_verification,
        email_change,
        email_change_undo,
        deletion_undo,
        second_step,
        recovery_code,
    ],
)
async def test_of_many_uses_in_two_processes_one_succeeds(
    ada, mailbox, processes, prepare: Callable[[Person, Mailbox], Awaitable[Prepared]]
):
    path, body = await prepare(ada, mailbox)

    answers = await asyncio.gather(
        *(process.post(path, json=body) for process in processes for _ in range(AT_ONCE))
    )

    statuses = Counter(answer.is_success for answer in answers)
    assert statuses == {True: 1, False: 2 * AT_ONCE - 1}, [answer.text for answer in answers]
    assert {answer.status_code for answer in answers if not answer.is_success} <= {401, 422}


async def test_of_many_acceptances_in_two_processes_one_makes_an_account(root, mailbox, processes):
    await invite(root)
    body = {"token": await mailbox.token(), "password": NEW}

    answers = await asyncio.gather(
        *(
            process.post(ACCEPT, json=body | {"username": f"grace{number}{where}"})
            for where, process in enumerate(processes)
            for number in range(AT_ONCE)
        )
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 422: 2 * AT_ONCE - 1}
