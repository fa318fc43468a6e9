"""R19: a proof that is sent to two processes at the same moment counts once.

Refresh tokens, of which a repeat is answered, are in `test_refresh_grace`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle
from typing import Any

import httpx
import pytest

from tests.access import API
from tests.authenticator import (
    PASSKEYS,
    Authenticator,
    register,
    registration_options,
    sign_in_options,
)
from tests.conftest import Person
from tests.integration import test_account_deletion, test_email_change
from tests.integration.test_invitations import invite
from tests.mailbox import Mailbox
from tests.mfa import MFA, code_at, execute, make_stale, mfa_token, set_up
from tests.process import instance

ROUNDS = 4
AT_ONCE = 4  # requests, by turns to the one process and the other
SECOND_STEP, BY_PASSKEY = "/auth/mfa", "/auth/passkey"
RECOVERY, RESET = "/auth/password-recovery", "/auth/password-reset"
Processes = list[httpx.AsyncClient]


@pytest.fixture(scope="module")
def urls(servers, app, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two real processes, without limits of rates."""
    folder, no = tmp_path_factory.mktemp("instances"), "false"
    with (
        instance(servers, folder, LIMITER_ENABLED=no) as one,
        instance(servers, folder, LIMITER_ENABLED=no) as other,
    ):
        yield [one.url, other.url]


@pytest.fixture
async def processes(urls: list[str]) -> AsyncIterator[Processes]:
    """A client of each, whose connections are open already."""
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            for url in urls
        ]
        await send(found, "/auth/passkey/options", [{}] * AT_ONCE)
        yield found


async def send(
    processes: Processes, path: str, bodies: Sequence[Any], sender: Person | None = None
) -> list[httpx.Response]:
    """Send each body at the same moment, by turns to the processes."""
    headers = {"Authorization": f"Bearer {sender.tokens['access_token']}"} if sender else {}
    turns = zip(cycle(processes), bodies, strict=False)
    return await asyncio.gather(
        *(process.post(f"{API}{path}", json=body, headers=headers) for process, body in turns)
    )


def statuses(answers: Sequence[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def second_steps(processes: Processes, ada: Person, code: str) -> list[dict[str, str]]:
    """The code, in the second steps of logins that differ."""
    there = replace(ada, client=processes[0])
    return [{"mfa_token": await mfa_token(there), "code": code} for _ in range(AT_ONCE)]


async def test_a_code_of_the_app_lets_in_once(processes, ada: Person, runtime):
    app = await set_up(ada)
    for _ in range(ROUNDS):
        await execute(runtime, "UPDATE totp SET last_step = 0, failures = 0")
        bodies = await second_steps(processes, ada, code_at(app.secret))

        assert statuses(await send(processes, SECOND_STEP, bodies)) == {200: 1, 401: AT_ONCE - 1}


async def test_a_recovery_code_lets_in_once(processes, ada: Person):
    app = await set_up(ada)
    for code in app.recovery_codes[:ROUNDS]:
        bodies = await second_steps(processes, ada, code)

        assert statuses(await send(processes, SECOND_STEP, bodies)) == {200: 1, 401: AT_ONCE - 1}

    assert (await ada.get(MFA)).json()["recovery_codes_left"] == 10 - ROUNDS


async def test_an_mfa_token_lets_in_once_and_leaves_the_other_codes_unused(
    processes, ada: Person, runtime
):
    app = await set_up(ada)
    for _ in range(ROUNDS):
        await execute(runtime, "UPDATE recovery_codes SET used_at = NULL")
        token = await mfa_token(ada)
        bodies = [{"mfa_token": token, "code": code} for code in app.recovery_codes[:AT_ONCE]]

        assert statuses(await send(processes, SECOND_STEP, bodies)) == {200: 1, 401: AT_ONCE - 1}
        assert (await ada.get(MFA)).json()["recovery_codes_left"] == 9


async def test_the_answer_of_a_passkey_lets_in_once(processes, ada: Person):
    key = Authenticator()
    await register(ada, key)
    for _ in range(ROUNDS):
        bodies = [{"credential": key.get(await sign_in_options(ada))}] * AT_ONCE

        assert statuses(await send(processes, BY_PASSKEY, bodies)) == {200: 1, 401: AT_ONCE - 1}


async def test_the_answer_of_a_passkey_confirms_once(processes, ada: Person, runtime):
    key = Authenticator()
    await register(ada, key)
    for _ in range(ROUNDS):
        await make_stale(runtime)
        bodies = [{"passkey": key.get(await sign_in_options(ada))}] * AT_ONCE

        answers = await send(processes, "/auth/confirmation", bodies, ada)

        assert statuses(answers) == {200: 1, 422: AT_ONCE - 1}


async def test_a_challenge_registers_one_passkey(processes, ada: Person):
    """Of authenticators that differ: not their names tell them apart, but the challenge."""
    for number in range(ROUNDS):
        options = await registration_options(ada)
        credentials = [Authenticator().create(options) for _ in range(AT_ONCE)]
        bodies = [{"name": "Phone", "credential": credential} for credential in credentials]

        answers = await send(processes, PASSKEYS, bodies, ada)

        assert statuses(answers) == {201: 1, 422: AT_ONCE - 1}
        assert len((await ada.get(PASSKEYS)).json()) == number + 1


async def test_a_link_of_a_mail_resets_one_password(processes, ada: Person, mailbox, runtime):
    for number in range(ROUNDS):
        await ada.client.post(f"{API}{RECOVERY}", json={"email": ada.email})
        token = await mailbox.token("password")
        passwords = [f"another battery staple horse {number} {turn}" for turn in range(AT_ONCE)]
        bodies = [{"token": token, "new_password": password} for password in passwords]

        answers = await send(processes, RESET, bodies)

        assert statuses(answers) == {204: 1, 422: AT_ONCE - 1}
        winner = [answer.status_code for answer in answers].index(204)
        ada.password = passwords[winner]
        await ada.login()
        await execute(runtime, "UPDATE one_time_tokens SET created_at = now() - interval '1 hour'")


async def email_verification(ada: Person, mailbox: Mailbox) -> tuple[str, str]:
    await ada.post("/users/me/email-verification")
    return "/auth/email-verification", await mailbox.token()


async def email_change(ada: Person, mailbox: Mailbox) -> tuple[str, str]:
    await test_email_change.requested(ada)
    return "/auth/email-change", await mailbox.token()


async def email_change_undo(ada: Person, mailbox: Mailbox) -> tuple[str, str]:
    email = "new@example.com"
    return "/auth/email-change/undo", await test_email_change.changed(
        ada.client, ada, mailbox, email
    )


async def deletion_undo(ada: Person, mailbox: Mailbox) -> tuple[str, str]:
    await test_account_deletion.delete(ada)
    return "/auth/deletion/undo", await mailbox.token()


@pytest.mark.parametrize(
    "prepare", [email_verification, email_change, email_change_undo, deletion_undo]
)
async def test_a_link_of_a_mail_works_once(
    processes,
    ada: Person,
    mailbox,
    prepare: Callable[[Person, Mailbox], Awaitable[tuple[str, str]]],
):
    path, token = await prepare(ada, mailbox)

    answers = await send(processes, path, [{"token": token}] * AT_ONCE)

    assert statuses(answers) == {204: 1, 422: AT_ONCE - 1}


async def test_an_invitation_makes_one_account(processes, root: Person, mailbox):
    for number in range(ROUNDS):
        await invite(root, f"grace{number}@example.com")
        sent = {"token": await mailbox.token(), "password": "another battery staple horse"}
        bodies = [sent | {"username": f"grace{number}{turn}"} for turn in range(AT_ONCE)]

        answers = await send(processes, "/auth/invitation", bodies)

        assert statuses(answers) == {201: 1, 422: AT_ONCE - 1}
