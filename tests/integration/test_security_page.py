"""The pages of one's own security, and confirmations on pages, without a browser."""

import html
import json
import re
from typing import Any

import httpx
import pytest

from tests.authenticator import BE, BS, PASSKEYS, UP, UV, Authenticator, sign_in_options
from tests.authenticator import register as register_passkey
from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in
from tests.integration.test_rate_limits import limiting
from tests.mfa import code_at, execute, first_step, make_stale, set_up

__all__ = ["browser"]

SECURITY = "/account/security"
CONFIRM = "/account/confirm"
RENAME = "/account/security/passkeys/1/rename"


@pytest.fixture
async def root_browser(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    """A browser in which `root` is logged in."""
    assert (await log_in(browser, root)).status_code == 303
    return browser


def hidden_fields(page: httpx.Response, place: str) -> dict[str, str]:
    """The hidden fields of the form that goes to `place`."""
    form = re.search(rf'<form[^>]*action="{place}"(.*?)</form>', page.text, re.DOTALL)
    assert form is not None, page.text
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
    return {name: html.unescape(value) for name, value in found}


async def send(
    browser: httpx.AsyncClient, page: httpx.Response, place: str, **fields: Any
) -> httpx.Response:
    """Send a form of a page, and follow where it leads."""
    shown = hidden_fields(page, place)
    return await browser.post(place, data=shown | fields, follow_redirects=True)


async def test_an_app_is_set_up_and_the_codes_are_shown_once(root_browser, root):
    begun = await send(root_browser, await root_browser.get(SECURITY), "/account/security/totp")
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", begun.text)
    assert secret is not None
    action = "/account/security/totp/confirmation"
    wrong = await send(root_browser, begun, action, code="000000")
    done = await send(root_browser, wrong, action, code=code_at(secret[1].replace(" ", "")))
    shown = await root_browser.get(SECURITY)

    assert "<svg" in begun.text
    assert (wrong.status_code, done.status_code) == (422, 200)
    assert secret[1] in wrong.text
    codes = re.findall(r"<code>((?:[A-Z2-7]{4}-){3}[A-Z2-7]{4})</code>", done.text)
    assert len(set(codes)) == 10
    assert "10 of 10 are left" in shown.text
    assert not any(code in shown.text for code in codes)


async def test_new_codes_are_made_and_the_app_is_removed(root_browser, root):
    begun = await send(root_browser, await root_browser.get(SECURITY), "/account/security/totp")
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", begun.text)
    assert secret is not None
    code = code_at(secret[1].replace(" ", ""))
    await send(root_browser, begun, "/account/security/totp/confirmation", code=code)
    page = await root_browser.get(SECURITY)

    codes = await send(root_browser, page, "/account/security/recovery-codes")
    removed = await send(root_browser, page, "/account/security/totp/remove")

    assert "Your recovery codes" in codes.text
    assert "The authenticator app is removed" in removed.text
    assert "access_token" in (await first_step(root)).json()


async def test_changes_need_a_confirmation_and_the_page_says_so(root_browser, root, runtime):
    page = await root_browser.get(SECURITY)
    await make_stale(runtime)

    stale = await root_browser.get(SECURITY)
    asked = await send(root_browser, page, "/account/security/totp")
    wrong = await send(root_browser, asked, "/account/confirm", proof="wrong")
    confirmed = await send(root_browser, wrong, "/account/confirm", proof=PASSWORD)

    assert "confirm that it is you" in stale.text
    assert "Set up an app" not in stale.text
    assert "Confirm that it is you" in asked.text
    assert (wrong.status_code, "Is not your password" in wrong.text) == (422, True)
    assert "Confirmed for ten minutes" in confirmed.text


async def test_a_code_or_a_passkey_confirms_as_well(browser, root, runtime):
    app = await set_up(root)
    key = Authenticator()
    await register_passkey(root, key)
    first = await log_in(browser, root)
    fields = form_in(first, "/login/mfa") | {"code": app.recovery_codes[0]}
    await browser.post(f"{PAGE}/login/mfa", data=fields)
    await make_stale(runtime)
    page = await browser.get(CONFIRM)

    by_code = await send(browser, page, "/account/confirm", proof=app.code)
    credential = httpx.Response(200, json=key.get(await sign_in_options(root))).text
    by_key = await send(browser, page, "/account/confirm/passkey", credential=credential)

    assert "Confirmed for ten minutes" in by_code.text
    assert "Confirmed for ten minutes" in by_key.text


async def test_codes_at_the_confirmation_are_counted_with_all_others(settings, client, root):
    async with limiting(settings, second_factor="2/minute") as strict, browsing(strict) as browser:
        browser.base_url = httpx.URL("https://test")
        await log_in(browser, root)
        root.client = browser
        page = await browser.get(CONFIRM)
        first = await root.post("/auth/confirmation", json={"code": "000000"})
        second = await send(browser, page, CONFIRM, proof="000 000")
        third = await send(browser, page, CONFIRM, proof="ABCD-EFGH-IJKL-MNOP")
        password = await send(browser, page, CONFIRM, proof=PASSWORD)

    assert [one.status_code for one in (first, second, third)] == [422, 422, 429]
    assert "Confirmed for ten minutes" in password.text


async def registered(person: Person) -> Authenticator:
    """An authenticator that has a passkey of theirs."""
    key = Authenticator()
    assert (await register_passkey(person, key)).status_code == 201
    return key


async def log_in_by_passkey(
    browser: httpx.AsyncClient, person: Person, key: Authenticator
) -> httpx.Response:
    login = await browser.get(f"{PAGE}/users")
    credential = json.dumps(key.get(await sign_in_options(person)))
    fields = form_in(login, "/login/passkey") | {"credential": credential}
    return await browser.post(f"{PAGE}/login/passkey", data=fields)


async def test_a_passkey_logs_in_to_the_pages(browser, root):
    answer = await log_in_by_passkey(browser, root, await registered(root))

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}/users")
    assert "<title>Overview" in (await browser.get(PAGE)).text


async def test_a_passkey_is_renamed_without_a_script_and_removed(browser, root, runtime):
    await log_in_by_passkey(browser, root, await registered(root))
    await make_stale(runtime)

    shown = await browser.get(SECURITY)
    form = await browser.get(RENAME)
    refused = await send(browser, form, RENAME, name=" ")
    renamed = await send(browser, refused, RENAME, name=" <b>Old</b> phone ")
    await execute(runtime, "UPDATE sessions SET confirmed_at = now()")
    again = await browser.get(SECURITY)
    removed = await send(browser, again, "/account/security/passkeys/1/remove")

    assert f'href="{RENAME}"' in shown.text
    assert 'value="Phone"' in form.text
    assert refused.status_code == 422
    assert 'aria-invalid="true"' in refused.text
    assert "The passkey is named “&lt;b&gt;Old&lt;/b&gt; phone”" in renamed.text
    assert "Remove &lt;b&gt;Old&lt;/b&gt; phone" in again.text
    assert "The passkey is removed" in removed.text
    assert "No passkeys yet" in removed.text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (0, "on one device only"),
        (BE, "can be synchronised"),
        (BE | BS, "synchronised between devices"),
    ],
)
async def test_the_page_says_whether_a_passkey_is_backed_up(browser, root, flags, words):
    key = Authenticator(flags=UP | UV | flags)
    await register_passkey(root, key)
    await log_in_by_passkey(browser, root, key)

    assert f", {words}</small>" in (await browser.get(SECURITY)).text


async def test_the_passkey_of_another_user_is_not_renamed(root_browser, root, ada):
    await registered(ada)
    token = hidden_fields(await root_browser.get(SECURITY), "/account/security/totp")["csrf"]

    form = await root_browser.get(RENAME)
    answer = await root_browser.post(RENAME, data={"csrf": token, "name": "Mine"})

    assert (form.status_code, answer.status_code) == (404, 404)
    (passkey,) = (await ada.get(PASSKEYS)).json()
    assert passkey["name"] == "Phone"


async def test_a_deletion_asks_for_a_confirmation_and_goes_on(root_browser, root, ada, runtime):
    await make_stale(runtime)
    question = f"{PAGE}/users/confirm?action=delete&id={ada.id}"

    asked = await root_browser.get(question, follow_redirects=True)
    confirmed = await send(root_browser, asked, "/account/confirm", proof=PASSWORD)
    done = await send(root_browser, confirmed, f"{PAGE}/users/confirm", id=str(ada.id))

    assert "Confirm that it is you" in asked.text
    assert "Delete ada?" in confirmed.text
    assert "Deleted ada" in done.text


async def test_a_deletion_without_the_question_is_refused_too(root_browser, root, ada, runtime):
    page = await root_browser.get(f"{PAGE}/users/confirm?action=delete&id={ada.id}")
    await make_stale(runtime)

    answer = await send(root_browser, page, f"{PAGE}/users/confirm", id=str(ada.id))

    assert "Confirm that it is you" in answer.text
    assert (await root.get(f"/users/{ada.id}")).status_code == 200


async def test_a_promotion_keeps_what_was_typed(root_browser, root, ada, runtime):
    edit = f"{PAGE}/users/{ada.id}/edit"
    fields = hidden_fields(await root_browser.get(edit), edit)
    fields |= {"email": ada.email, "username": "ada", "full_name": "Ada King"}
    await make_stale(runtime)

    refused = await root_browser.post(edit, data=fields | {"is_superuser": "true"})
    harmless = await root_browser.post(edit, data=fields)

    assert refused.status_code == 403
    assert "confirm that it is you" in refused.text
    assert 'value="Ada King"' in refused.text
    assert harmless.status_code == 303


async def test_a_new_email_of_another_user_keeps_what_was_typed(root_browser, ada, runtime):
    edit = f"{PAGE}/users/{ada.id}/edit"
    fields = hidden_fields(await root_browser.get(edit), edit) | {"username": "ada"}
    await make_stale(runtime)

    refused = await root_browser.post(edit, data=fields | {"email": "new@example.com"})

    assert refused.status_code == 403
    assert "confirm that it is you" in refused.text
    assert 'value="new@example.com"' in refused.text


async def test_superusers_in_a_file_need_a_confirmation(root_browser, root, runtime):
    upload = f"{PAGE}/users/upload"
    csv = f"email,password,is_superuser\nnew@example.com,{PASSWORD},true\n"
    files = {"file": ("users.csv", csv)}
    page = await root_browser.get(upload)
    token = {"csrf": form_in(page, "/users/upload")["csrf"]}
    preview = await root_browser.post(upload, data=token, files=files)
    mark = re.search(r'name="mark" value="([^"]+)"', preview.text)
    assert mark is not None
    await make_stale(runtime)

    refused = await root_browser.post(
        upload, data=token | {"step": "write", "mark": mark[1]}, files=files
    )

    assert refused.status_code == 403
    assert "confirm that it is you" in refused.text
    assert (await execute(runtime, "SELECT count(*) FROM users"))[0][0] == 1


async def test_an_administrator_resets_the_factors_of_a_user(root_browser, root, ada):
    await set_up(ada)
    page = await root_browser.get(f"{PAGE}/users/{ada.id}")
    question = await root_browser.get(f"{PAGE}/users/confirm?action=reset_mfa&id={ada.id}")

    done = await send(root_browser, question, f"{PAGE}/users/confirm", id=str(ada.id))

    assert "Remove second factors" in page.text
    assert "Removed the second factors of ada" in done.text
    assert "access_token" in (await first_step(ada)).json()


async def test_the_page_of_a_user_says_which_factors_they_have(root_browser, root, ada):
    place = f"{PAGE}/users/{ada.id}"
    pages = [await root_browser.get(place)]
    app = await set_up(ada)
    pages.append(await root_browser.get(place))
    await registered(ada)
    await registered(ada)
    await ada.post("/auth/confirmation", json={"code": app.recovery_codes[0]})
    pages.append(await root_browser.get(place))

    def fact(page: httpx.Response, name: str) -> list[str]:
        return re.findall(rf"<dt>{name}</dt><dd>(.*?)</dd>", page.text)

    assert [fact(page, "Second factors") for page in pages] == [
        *(["None"], ["Authenticator app"], ["Authenticator app, 2 passkeys"]),
    ]
    assert [fact(page, "Recovery codes left") for page in pages] == [[], ["10"], ["9"]]


async def test_the_table_shows_and_filters_who_has_a_second_factor(root_browser, root, ada, bob):
    await set_up(ada)

    having = await root_browser.get(f"{PAGE}/users?has_mfa=true")
    lacking = await root_browser.get(f"{PAGE}/users?has_mfa=false")

    assert ("ada@" in having.text, "bob@" in having.text) == (True, False)
    assert ("ada@" in lacking.text, "bob@" in lacking.text) == (False, True)
    assert "2FA" in having.text


async def test_who_lacks_a_required_factor_is_led_to_set_one_up(settings, client, root: Person):
    required = settings.replaced(auth={"mfa_required_for": "superusers"})
    async with running(required) as app, browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        await log_in(browser, root)
        places = [f"{PAGE}{path}" for path in ("", "/live", "/users", "/users/1", "/jobs")]
        led = [await browser.get(place) for place in places]
        part = await browser.get(f"{PAGE}/live", headers={"HX-Request": "true"})
        page = await browser.get(SECURITY)
        begun = await send(browser, page, "/account/security/totp")
        secret = re.search(r"<code>([A-Z2-7 ]+)</code>", begun.text)
        assert secret is not None
        code = code_at(secret[1].replace(" ", ""))
        await send(browser, begun, "/account/security/totp/confirmation", code=code)
        after = await browser.get(f"{PAGE}/users")

    assert [(one.status_code, one.headers["Location"]) for one in led] == [(303, SECURITY)] * 5
    assert part.headers["HX-Redirect"] == SECURITY
    assert "Your account needs a second factor" in page.text
    assert "<title>Users" in after.text


async def test_a_redirect_after_a_confirmation_stays_on_the_pages(root_browser, root):
    page = await root_browser.get(f"{CONFIRM}?next=https://evil.example/")

    assert "evil" not in page.text
