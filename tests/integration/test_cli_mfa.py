"""`backend reset-mfa` and `backend reseal-secrets`."""

from pydantic import SecretStr

from tests.conftest import Person, browsing, person, running
from tests.integration.test_cli_mail import run
from tests.mfa import execute, first_step, set_up

__all__ = ["run"]

OLD, NEW = "o" * 32, "n" * 32


async def test_the_factors_of_a_user_are_reset_by_email(run, ada: Person):
    await set_up(ada)

    code, output = await run("reset-mfa", " Ada@example.com")

    assert code == 0, output
    assert "removed all second factors of ada@example.com, id 1" in output
    assert (await ada.get("/users/me")).status_code == 401
    assert "access_token" in (await first_step(ada)).json()


async def test_the_email_of_no_user_is_a_message(run):
    code, output = await run("reset-mfa", "nobody@example.com")

    assert (code, output) == (1, "No user has the email nobody@example.com")


async def test_secrets_are_encrypted_anew_by_a_command(run, settings, runtime):
    old = settings.replaced(auth={"secret_key": SecretStr(OLD)})
    async with running(old) as app, browsing(app) as browser:
        await set_up(await person(browser, app.state.runtime, "ada"))
    keys = {"AUTH_SECRET_KEY": NEW, "AUTH_ACCEPTED_SECRET_KEYS": OLD}
    before = await execute(runtime, "SELECT key_id FROM totp")

    code, output = await run("reseal-secrets", **keys)
    _, again = await run("reseal-secrets", **keys)
    _, lost = await run("reseal-secrets", AUTH_SECRET_KEY="l" * 32)

    assert code == 0, output
    assert output == "1 secrets were encrypted by the key in use; 0 by no accepted key"
    assert again == "0 secrets were encrypted by the key in use; 0 by no accepted key"
    assert "totp_unreadable" in lost
    assert lost.endswith("0 secrets were encrypted by the key in use; 1 by no accepted key")
    events = await execute(
        runtime, "SELECT after FROM audit_events WHERE action = 'mfa.resealed' ORDER BY id"
    )
    assert [after for (after,) in events] == [
        {"done": 1, "unreadable": 0},
        {"done": 0, "unreadable": 1},
    ]
    assert before != await execute(runtime, "SELECT key_id FROM totp")
    event = (
        "SELECT actor, after FROM audit_events WHERE action = 'mfa.resealed' ORDER BY id LIMIT 1"
    )
    facts = {"done": 1, "unreadable": 0}
    assert await execute(runtime, event) == [("command:reseal-secrets", facts)]
