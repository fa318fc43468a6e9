"""A new password without the old one: by a link in a mail, from an administrator, by a command."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.repositories.access.one_time_tokens import OneTimeTokenRepository
from app.repositories.background.mail import MailRepository
from app.runtime import Runtime
from app.schemas.account import PurgeTokens
from app.schemas.background.mail import SendMail
from app.services.account import mail_contexts
from app.services.account.tokens import MAX_ATTEMPTS
from app.worker.registry import purge_tokens
from tests.access import API
from tests.conftest import PASSWORD, browsing, recorded, running
from tests.integration.test_api_keys import robot_of
from tests.mailbox import Mailbox, token_in

NEW = "another battery staple horse"
RECOVERY, RESET = f"{API}/auth/password-recovery", f"{API}/auth/password-reset"


async def requested(client: httpx.AsyncClient, email: str) -> httpx.Response:
    response = await client.post(RECOVERY, json={"email": email})
    assert response.status_code == 202, response.text
    return response


async def reset(client: httpx.AsyncClient, token: str, password: str = NEW) -> httpx.Response:
    return await client.post(RESET, json={"token": token, "new_password": password})


async def logs_in(client: httpx.AsyncClient, email: str, password: str) -> bool:
    credentials = {"email": email, "password": password}
    return (await client.post(f"{API}/auth/login", json=credentials)).status_code == 200


def is_refused(response: httpx.Response) -> bool:
    """Whether it is the one refusal of a token."""
    detail = {
        "field": "token",
        "message": "is not valid, was used before, or has expired",
        "code": "token_invalid",
    }
    return response.status_code == 422 and response.json()["details"] == [detail]


async def age(runtime: Runtime, column: str, interval: str) -> None:
    """Set a time of all tokens back."""
    async with runtime.engine.begin() as connection:
        values = f"{column} = {column} - interval '{interval}'"
        await connection.execute(text(f"UPDATE one_time_tokens SET {values}"))


async def test_a_forgotten_password_is_set_anew_by_the_link_in_a_mail(client, ada, mailbox):
    await requested(client, ada.email)
    (mail,) = await mailbox.receive()

    answer = await reset(client, token_in(mail))

    assert mail.to == ada.email
    assert "/account/password-reset?token=" in mail.text
    assert answer.status_code == 204
    assert await logs_in(client, ada.email, NEW)
    assert not await logs_in(client, ada.email, PASSWORD)


async def test_a_reset_ends_every_session_and_tells_the_user(client, ada, mailbox):
    await requested(client, ada.email)
    await reset(client, await mailbox.token())

    (notice,) = await mailbox.receive()

    assert (await ada.get("/users/me")).status_code == 401
    refreshed = await client.post(
        f"{API}/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]}
    )
    assert refreshed.status_code == 401
    assert notice.to == ada.email
    assert "password" in notice.subject
    assert "token=" not in notice.text


async def test_the_answer_and_the_work_are_the_same_whoever_has_an_account(
    client, ada, root, bob, runtime, mailbox
):
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    seen = []
    for email in (ada.email, bob.email, "nobody@example.com"):
        with recorded(runtime) as statements:
            response = await requested(client, email)
        shown = {name for name in response.headers if name != "x-request-id"}
        seen.append((response.content, shown, statements))

    mails = await mailbox.receive()

    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][2]) == 1  # the job: nobody is looked up
    assert [mail.to for mail in mails] == [ada.email]


async def test_a_mail_goes_to_the_address_as_stored_and_not_as_typed(client, ada, mailbox):
    await requested(client, "ADA@ＥＸＡＭＰＬＥ.com")

    assert [mail.to for mail in await mailbox.receive()] == [ada.email]


async def test_a_user_gets_one_mail_a_minute(client, ada, runtime, mailbox):
    for _ in range(3):
        await requested(client, ada.email)
    first = await mailbox.receive()
    await age(runtime, "created_at", "61 seconds")
    await requested(client, ada.email)

    second = await mailbox.receive()

    assert [len(first), len(second)] == [1, 1]
    assert is_refused(await reset(client, token_in(first[0])))  # the newer one replaced it
    assert (await reset(client, token_in(second[0]))).status_code == 204


async def test_after_ten_mails_within_a_day_a_user_gets_one_an_hour(client, ada, runtime, mailbox):
    """S8: a stranger who asks without end fills no mailbox, and keeps no owner from a link."""
    received, bodies = [], set()
    for _ in range(12):
        await age(runtime, "created_at", "61 seconds")
        answer = await requested(client, ada.email)
        await client_is_new(runtime)
        bodies.add(answer.content)
        received += await mailbox.receive()
    await age(runtime, "created_at", "59 minutes")
    await requested(client, ada.email)
    next_hour = await mailbox.receive()
    await age(runtime, "created_at", "23 hours")
    for _ in range(2):
        await age(runtime, "created_at", "61 seconds")
        await requested(client, ada.email)
        received += await mailbox.receive()

    assert len(bodies) == 1
    assert [len(received), len(next_hour)] == [12, 1]


async def client_is_new(runtime: Runtime) -> None:
    """Forget how often an address has asked."""
    assert runtime.cache is not None
    await runtime.cache.redis.flushdb()


async def test_a_link_works_once(client, ada, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    await reset(client, token)

    assert is_refused(await reset(client, token, "yet another battery staple"))
    assert await logs_in(client, ada.email, NEW)


async def test_of_two_uses_at_once_in_two_processes_one_succeeds(
    client, ada, mailbox, settings: Settings
):
    """R19"""
    await requested(client, ada.email)
    token = await mailbox.token()
    passwords = [f"{NEW} {number}" for number in range(2)]
    async with running(settings) as other, browsing(other) as elsewhere:
        answers = await asyncio.gather(
            *(
                reset(where, token, password)
                for where, password in zip((client, elsewhere), passwords, strict=True)
            )
        )

    assert sorted(answer.status_code for answer in answers) == [204, 422]
    winner = passwords[[answer.status_code for answer in answers].index(204)]
    assert await logs_in(client, ada.email, winner)


async def test_a_password_that_is_refused_leaves_the_link_valid(client, ada, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()

    refused = await reset(client, token, "ada@example.com ada")

    assert refused.status_code == 422
    assert refused.json()["details"][0] | {"message": ""} == {
        "field": "new_password",
        "message": "",
        "code": "weak_password",
    }
    assert (await reset(client, token)).status_code == 204


@pytest.mark.parametrize("password", ["Lovelace Lovelace", "adalovelace1815", "Ada  Lovelace!!!"])
async def test_the_full_name_is_no_password(client, ada, mailbox, password):
    await ada.patch("/users/me", json={"full_name": "Ada Lovelace"})
    await requested(client, ada.email)
    by_link = await reset(client, await mailbox.token(), password)
    body = {"email": "new@example.com", "full_name": "Ada Lovelace", "password": password}
    by_sign_up = await client.post(f"{API}/users", json=body)
    change = {"current_password": PASSWORD, "new_password": password}
    by_change = await ada.post("/auth/password", json=change)

    for refused in (by_link, by_sign_up, by_change):
        assert refused.status_code == 422
        assert refused.json()["details"][0]["code"] == "weak_password"


async def test_a_link_may_be_tried_twenty_times(client, ada, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    for number in range(MAX_ATTEMPTS):
        async with browsing(client._transport.app, f"198.51.100.{number}") as somewhere:
            assert (await reset(somewhere, token, "short")).status_code == 422

    assert is_refused(await reset(client, token))


async def test_a_link_expires_after_half_an_hour(client, ada, runtime, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    await age(runtime, "expires_at", "31 minutes")

    assert is_refused(await reset(client, token))


@pytest.mark.parametrize("token", ["", "x" * 43, "\x00", "ü"])
async def test_what_is_no_token_is_refused_like_an_old_one(client, token):
    assert is_refused(await reset(client, token))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RECOVERY, {}),
        (RECOVERY, {"email": "no address"}),
        (RECOVERY, {"email": "ada@example.com", "x": 1}),
        (RESET, {"token": "x" * 43}),
        (RESET, {"token": "x" * 1000, "new_password": NEW}),
        (RESET, {"token": "\ud800", "new_password": NEW}),
        (RESET, {"token": "x" * 43, "new_password": "\ud800"}),
    ],
)
async def test_bad_input_is_a_422_and_is_not_repeated(client, path, body):
    headers = {"Content-Type": "application/json"}
    response = await client.post(path, content=json.dumps(body), headers=headers)

    assert response.status_code == 422
    assert "x" * 43 not in response.text


async def test_a_changed_password_voids_the_link_and_is_told(client, ada, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    changed = {"current_password": PASSWORD, "new_password": NEW}
    assert (await ada.post("/auth/password", json=changed)).status_code == 204

    assert is_refused(await reset(client, token, "yet another battery staple"))
    (notice,) = await mailbox.receive()
    assert notice.subject == "Your password for Backend API was changed"
    assert "API key" not in notice.text


async def test_a_link_is_bound_to_the_password_and_email_whoever_changes_them(
    client, ada, runtime, mailbox
):
    """Past the service: by a statement, say, or by an older release."""
    await requested(client, ada.email)
    token = await mailbox.token()
    async with runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET email = 'ada@example.org'"))

    assert is_refused(await reset(client, token))


async def test_a_deactivated_user_cannot_use_the_link(client, ada, root, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    assert is_refused(await reset(client, token))


async def test_set_password_ends_sessions_voids_links_and_tells_the_user(
    client, ada, runtime, mailbox
):
    await requested(client, ada.email)
    token = await mailbox.token()
    async with runtime.session_maker() as db:
        await runtime.recovery_service(db).set_password(ada.email, SecretStr(NEW))

    assert is_refused(await reset(client, token))
    assert (await ada.get("/users/me")).status_code == 401
    assert [mail.to for mail in await mailbox.receive()] == [ada.email]


async def test_links_lead_to_a_front_end_of_ones_own(settings: Settings, client, ada):
    elsewhere = settings.replaced(mail={"link_base_url": "https://app.example.com"})
    async with running(elsewhere) as app, browsing(app) as browser:
        await browser.post(RECOVERY, json={"email": ada.email})
        link = await Mailbox(app.state.runtime).link("new password")

    assert link.startswith("https://app.example.com/account/password-reset?token=")


async def test_a_get_spends_nothing(client, ada, mailbox):
    await requested(client, ada.email)
    token = await mailbox.token()
    for method in ("GET", "HEAD"):
        assert (await client.request(method, RESET, params={"token": token})).status_code == 405

    assert (await reset(client, token)).status_code == 204


async def test_the_token_is_in_no_log_job_or_table(client, ada, runtime, mailbox, logged):
    await requested(client, ada.email)
    (job,) = await mailbox.queued()
    async with runtime.session_maker() as db:
        context = await mail_contexts.password_reset(job, db, runtime.settings)
        await db.commit()
    assert context is not None
    token = context.values["link"].partition("token=")[2]
    await reset(client, token)
    await reset(client, token)

    stored = job.model_dump_json()
    async with runtime.engine.connect() as connection:
        for table in ("one_time_tokens", "pgqueuer", "pgqueuer_log", "mails"):
            rows = await connection.execute(text(f"SELECT {table}::text FROM {table}"))
            stored += "".join(rows.scalars())
    assert len(token) == 43
    assert token not in stored
    assert token not in str(logged())
    assert "password_reset" in str(logged())


async def test_a_mail_that_is_sent_again_has_the_same_link(client, ada, runtime, mailbox):
    await requested(client, ada.email)
    (job,) = await mailbox.queued()
    links = []
    for _ in range(2):
        async with runtime.session_maker() as db:
            context = await mail_contexts.password_reset(job, db, runtime.settings)
            await db.commit()
        links.append(context and context.values["link"])
        await age(runtime, "expires_at", "31 minutes")  # until the next attempt

    assert links[0] is not None
    assert links[0] == links[1]


async def test_a_mail_that_is_late_by_more_than_an_hour_is_not_sent(client, ada, mailbox):
    at = datetime.now(UTC) - timedelta(minutes=61)
    data = {"requested_at": at.isoformat()}
    late = SendMail(mail="password-reset", to=ada.email, data=data)
    async with mailbox.runtime.session_maker() as db:
        await mailbox.runtime.mail_service(db).deliver(late)
        outcome = await MailRepository(db).find(late.id)

    assert outcome is not None
    assert outcome.state == "dropped"


async def test_an_administrator_has_a_link_mailed(client, ada, root, mailbox):
    answer = await root.post(f"/users/{ada.id}/password-reset")
    (mail,) = await mailbox.receive()

    assert answer.status_code == 200
    assert answer.json() == {"is_mailed": True, "link": None, "expires_in": 1800}
    assert mail.to == ada.email
    assert (await reset(client, token_in(mail))).status_code == 204


async def test_an_administrator_gets_the_link_where_no_mail_is_sent(
    client, ada, root, runtime, without_mail
):
    async with browsing(without_mail) as elsewhere:
        headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}
        path = f"{API}/users/{ada.id}/password-reset"
        answer = (await elsewhere.post(path, headers=headers)).json()
        recovery = await requested(elsewhere, ada.email)

    link = answer["link"]
    assert answer["is_mailed"] is False
    assert recovery.status_code == 202
    assert await Mailbox(runtime).queued() == []
    assert (await reset(client, link.partition("token=")[2])).status_code == 204


@pytest.fixture
async def without_mail(settings: Settings, client):
    """An application whose mails go nowhere, as in production without MAIL_URL."""
    async with running(settings) as app:
        app.state.runtime.mailer._catcher = None
        yield app


async def test_there_is_no_link_for_nobody_or_an_inactive_user(client, ada, root):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    assert (await root.post("/users/999/password-reset")).status_code == 404
    assert (await root.post(f"/users/{ada.id}/password-reset")).status_code == 409


async def test_tokens_are_deleted_a_week_after_they_expired(client, ada, runtime, mailbox):
    await requested(client, ada.email)
    await mailbox.receive()
    async with runtime.session_maker() as db:
        tokens = OneTimeTokenRepository(db)
        await age(runtime, "expires_at", "6 days")
        await purge_tokens(runtime, PurgeTokens())
        (row,) = (await db.execute(text("SELECT id FROM one_time_tokens"))).scalars()
        assert await tokens.get(row) is not None
        await db.rollback()
        await age(runtime, "expires_at", "2 days")
        await purge_tokens(runtime, PurgeTokens())

        assert await tokens.get(row) is None


async def test_nothing_is_sent_for_a_user_who_was_deleted_meanwhile(client, ada, root, mailbox):
    await root.post(f"/users/{ada.id}/password-reset")
    await root.delete(f"/users/{ada.id}")

    assert await mailbox.receive() == []


@pytest.mark.parametrize(
    ("keys", "told"), [(1, "1 API key of yours still works"), (2, "2 API keys of yours still work")]
)
async def test_the_notice_of_a_new_password_tells_which_keys_still_let_programs_in(
    client, ada, mailbox, keys, told
):
    robots = [await robot_of(ada) for _ in range(keys)]
    await requested(client, ada.email)
    mails = {mail.subject: mail for mail in await mailbox.receive()}
    (link,) = [mail for subject, mail in mails.items() if "password" in subject.lower()]
    token = link.text.partition("token=")[2].split()[0]

    assert (await reset(client, token, NEW)).status_code == 204
    (notice,) = await mailbox.receive()

    assert told in " ".join(notice.text.split())
    assert "/account/keys" in notice.text
    assert [(await robot.get("/users/me")).status_code for robot in robots] == [200] * keys
