"""Mails about logins from devices that the user has not used before."""

from contextlib import suppress

from sqlalchemy import text

from app.core.device import Device
from app.repositories.session import SessionRepository
from tests.conftest import PASSWORD, browsing
from tests.mfa import mfa_token, second_step, set_up

API = "/api/v1"
MAC = {
    "User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/19.0 Safari/605.1.15"
}
SUBJECT = "New login to your account"


class LateFailure(Exception):
    pass


async def log_in(client, person, **options):
    body = {"email": person.email, "password": PASSWORD}
    answer = await client.post(f"{API}/auth/login", json=body, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_device_is_mailed_with_its_name_address_and_time(client, ada, mailbox):
    await mailbox.queued()

    tokens = await log_in(client, ada, headers=MAC)

    (mail,) = await mailbox.receive()
    assert (mail.to, mail.subject.startswith(SUBJECT)) == (ada.email, True)
    for words in ("Safari on Mac", "192.0.2.7", "UTC", "/account/password-recovery"):
        assert words in mail.text
    for secret in (PASSWORD, tokens["access_token"], tokens["refresh_token"], "token="):
        assert secret not in mail.text


async def test_a_known_device_is_not_mailed_also_from_another_address_of_its_provider(
    app, client, ada, mailbox
):
    await log_in(client, ada, headers=MAC)
    await mailbox.queued()

    await log_in(client, ada, headers=MAC)
    await log_in(client, ada)
    async with browsing(app, "192.0.99.1") as neighbour:
        await log_in(neighbour, ada, headers=MAC)

    assert await mailbox.queued() == []


async def test_the_first_login_of_an_account_is_not_mailed(client, ada, mailbox):
    assert await mailbox.queued() == []


async def test_the_device_of_many_sessions_is_read_once(client, runtime, ada):
    for headers in (MAC, MAC, {}):
        await log_in(client, ada, headers=headers)

    async with runtime.session_maker() as db:
        known = await SessionRepository(db).devices_of(ada.id)

    agents = [device.user_agent for device in known.devices]
    assert known.email == ada.email
    assert len(agents) == 2
    assert MAC["User-Agent"] in agents


async def test_a_common_browser_elsewhere_is_a_new_device(app, client, ada, mailbox):
    await log_in(client, ada, headers=MAC)
    await mailbox.queued()

    async with browsing(app, "198.51.100.9") as stranger:
        await log_in(stranger, ada, headers=MAC)

    (mail,) = await mailbox.queued()
    assert (mail.mail, mail.data["address"]) == ("new-login", "198.51.100.9")


async def test_an_old_account_whose_sessions_were_purged_is_mailed(client, ada, mailbox, runtime):
    async with runtime.engine.begin() as connection:
        await connection.execute(text("DELETE FROM sessions"))
        await connection.execute(text("UPDATE users SET created_at = now() - interval '8 days'"))
    await mailbox.queued()

    await log_in(client, ada)

    (mail,) = await mailbox.queued()
    assert mail.mail == "new-login"


async def test_the_page_the_form_of_oauth_and_the_second_step_are_mailed_too(
    client, ada, mailbox, runtime
):
    await mailbox.queued()
    form = {"username": ada.email, "password": PASSWORD, "grant_type": "password"}
    oauth = await client.post(f"{API}/auth/token", data=form, headers={"User-Agent": "curl/8"})
    app = await set_up(ada)
    agent = {"User-Agent": "okhttp/4"}
    token = await mfa_token(ada, headers=agent)
    answer = await second_step(client, token, app.code, headers=agent)

    assert (oauth.status_code, answer.status_code) == (200, 200)
    named = [mail.data["device"] for mail in await mailbox.queued() if mail.mail == "new-login"]
    assert named == ["curl", "okhttp"]


async def test_a_login_that_is_rolled_back_is_not_mailed(client, ada, mailbox, runtime):
    await mailbox.queued()
    async with runtime.session_maker() as db:
        service = runtime.auth_service(db)
        user = await service.users.credentials_of(ada.id)
        assert user is not None
        with suppress(LateFailure):
            async with service.transaction():
                await service.issuer.begin(user, Device("curl/8", "198.51.100.9"))
                raise LateFailure

    assert await mailbox.queued() == []


async def test_a_service_without_mail_does_not_look(ada, runtime, statements):
    async with runtime.session_maker() as db:
        service = runtime.second_step_service(db)
        service.issuer._sends_mail = False
        user = await service.users.credentials_of(ada.id)
        assert user is not None
        async with service.transaction():
            await service.issuer.begin(user, Device("curl/8", "198.51.100.9"))

    assert not any("pgqueuer" in one or "LEFT OUTER JOIN sessions" in one for one in statements)
