"""The pages that links in mails lead to: a GET uses nothing up, a POST does, once."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from app.admin.account.pages import (
    DELETION_UNDO,
    EMAIL_CHANGE,
    EMAIL_CHANGE_UNDO,
    INVITATION,
    RECOVERY,
    RESET,
    VERIFICATION,
)
from app.schemas.account import Purpose
from app.services.account.links import link
from tests.account_pages import ACCOUNT, fields_of, log_in, open_link, send, use_link
from tests.conftest import PASSWORD, browsing, recorded, running
from tests.integration.test_dashboard_page import STRANGER, browser

__all__ = ["browser"]

NEW = "another battery staple horse"
PAGES = [RECOVERY, RESET, VERIFICATION, EMAIL_CHANGE, EMAIL_CHANGE_UNDO, DELETION_UNDO, INVITATION]


async def test_a_forgotten_password_is_set_anew(browser, ada, mailbox):
    requested = await send(browser, "/password-recovery", email=ada.email)
    login = await browser.get(requested.headers["Location"])
    answer = await use_link(browser, "/password-reset", await mailbox.token(), new_password=NEW)
    page = await browser.get(answer.headers["Location"])

    assert (requested.status_code, answer.status_code) == (303, 303)
    assert "a link is on its way" in login.text
    assert "Your new password is set" in page.text
    assert (await log_in(browser, ada)).status_code == 401
    assert (await log_in(browser, ada, password=NEW)).status_code == 303


async def test_the_answer_is_the_same_whoever_has_an_account(browser, ada, mailbox, runtime):
    seen = []
    for email in (ada.email, "nobody@example.com"):
        with recorded(runtime) as statements:
            answer = await send(browser, "/password-recovery", email=email)
        page = await browser.get(answer.headers["Location"])
        names = {name for name in answer.headers if name != "x-request-id"}
        seen.append((answer.status_code, names, page.text, statements))

    assert seen[0] == seen[1]
    assert len(seen[0][3]) == 1  # the job


async def test_an_address_that_is_none_is_shown_again(browser, mailbox):
    answer = await send(browser, "/password-recovery", email='"no address')

    assert answer.status_code == 422
    assert "Not a valid email address" in answer.text
    assert 'value="&#34;no address"' in answer.text
    assert await mailbox.queued() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_a_page_touches_no_database_and_tells_no_other_page_of_its_address(
    browser, runtime, logged, page
):
    token = "t" * 43
    with recorded(runtime) as statements:
        answers = [
            await browser.request(
                method, page.path, params={"token": token} if page.needs_token else {}
            )
            for method in ("GET", "HEAD")
        ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert statements == []
    assert token not in str(logged())


async def test_a_link_is_valid_after_it_was_looked_at(browser, ada, mailbox):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    for _ in range(3):
        await open_link(browser, "/password-reset", token)

    answer = await use_link(browser, "/password-reset", token, new_password=NEW)

    assert answer.status_code == 303


async def test_a_used_link_offers_a_new_mail(browser, ada, mailbox, logged):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    await use_link(browser, "/password-reset", token, new_password=NEW)

    again = await use_link(browser, "/password-reset", token, new_password=f"{NEW}!")

    assert again.status_code == 422
    assert "This link is not valid any more" in again.text
    assert f'href="{ACCOUNT}/password-recovery"' in again.text
    assert token not in str(logged())
    assert NEW not in str(logged())


async def test_a_link_without_its_token_is_not_complete(browser):
    page = await browser.get(f"{ACCOUNT}/password-reset")

    assert page.status_code == 200
    assert "This link is not complete" in page.text
    assert "new_password" not in page.text


async def test_a_refused_password_leaves_the_link_valid_on_the_same_page(browser, ada, mailbox):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()

    refused = await use_link(browser, "/password-reset", token, new_password="short")
    fields = fields_of(refused, f"{ACCOUNT}/password-reset")
    answer = await browser.post(f"{ACCOUNT}/password-reset", data=fields | {"new_password": NEW})

    assert refused.status_code == 422
    assert "Not done: see below" in refused.text
    assert "short" not in refused.text.split("new_password", 1)[1].split(">", 1)[0]
    assert refused.headers["Referrer-Policy"] == "no-referrer"
    assert answer.status_code == 303


async def test_of_two_forms_at_once_in_two_processes_one_succeeds(browser, ada, mailbox, settings):
    """R19"""
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    async with running(settings) as app, browsing(app) as other:
        other.base_url = httpx.URL("https://test")
        answers = await asyncio.gather(
            *(
                use_link(where, "/password-reset", token, new_password=f"{NEW}{number}")
                for number, where in enumerate((browser, other))
            )
        )

    assert sorted(answer.status_code for answer in answers) == [303, 422]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    "change",
    [
        {"data": {"csrf": "x" * 43}},
        {"headers": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}},
        {"headers": {"Origin": "https://evil.example"}},
    ],
    ids=str,
)
async def test_a_form_of_another_site_does_nothing(browser, ada, mailbox, page, change):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    values = {"token": token, "new_password": NEW, "password": NEW, "email": ada.email}
    shown = await browser.get(page.path, params={"token": token} if page.needs_token else {})

    answer = await browser.post(
        page.path,
        data=values | fields_of(shown, page.path) | change.get("data", {}),
        headers=change.get("headers"),
    )

    assert answer.status_code == 403
    assert "does not belong to your session" in answer.text
    assert f'action="{page.path}"' in answer.text  # to be sent again
    assert await mailbox.queued() == []
    assert (await use_link(browser, "/password-reset", token, new_password=NEW)).status_code == 303


async def test_the_form_is_of_one_browser(browser, app, ada, mailbox):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    fields = fields_of(await open_link(browser, "/password-reset", token), RESET.path)
    async with browsing(app) as other:
        other.base_url = browser.base_url
        await open_link(other, "/password-reset", token)
        answer = await other.post(RESET.path, data=fields | {"new_password": NEW})

    assert answer.status_code == 403


async def test_a_browser_may_hide_its_origin_as_the_page_asks_it_to(browser, ada, mailbox):
    await send(browser, "/password-recovery", email=ada.email)
    token = await mailbox.token()
    fields = fields_of(await open_link(browser, "/password-reset", token), RESET.path)

    answer = await browser.post(
        RESET.path, data=fields | {"new_password": NEW}, headers={"Origin": "null"}
    )

    assert answer.status_code == 303


async def test_a_link_from_a_mail_gives_the_browser_a_new_form_cookie(browser):
    """`SameSite=Strict` cookies are not sent with a link of another site."""
    await open_link(browser, "/password-reset", "t")
    before = browser.cookies[STRANGER]
    browser.cookies.clear()

    await open_link(browser, "/password-reset", "t")

    assert browser.cookies[STRANGER] != before


async def test_requests_are_counted_with_those_of_the_api(browser, client, runtime):
    limit = int(runtime.settings.limiter.recovery.split("/")[0])
    for number in range(limit):
        path, email = "/api/v1/auth/password-recovery", f"user{number}@example.com"
        assert (await client.post(path, json={"email": email})).status_code == 202

    answer = await send(browser, "/password-recovery", email="ada@example.com")

    assert answer.status_code == 429
    assert "Too many requests" in answer.text
    assert 'value="ada@example.com"' in answer.text
    assert int(answer.headers["Retry-After"]) >= 1


async def test_uses_of_links_are_counted_with_those_of_the_api(browser, client, runtime):
    limit = int(runtime.settings.limiter.link.split("/")[0])
    for _ in range(limit):
        body = {"token": "x", "new_password": PASSWORD}
        assert (await client.post("/api/v1/auth/password-reset", json=body)).status_code == 422

    answer = await use_link(browser, "/password-reset", "x", new_password=NEW)

    assert answer.status_code == 429
    assert "Too many requests" in answer.text
    assert fields_of(answer, RESET.path)["token"] == "x"


async def test_markup_in_a_token_is_shown_as_text(browser):
    page = await open_link(browser, "/password-reset", '"><script>')

    assert "<script>alert" not in page.text
    assert 'value="&#34;&gt;&lt;script&gt;"' in page.text


async def test_every_link_leads_to_a_page(browser, runtime):
    names = {page.name for page in PAGES if page.needs_token}
    for purpose in Purpose:
        path = urlsplit(link(runtime.settings, purpose, "t")).path

        assert path.removeprefix(f"{ACCOUNT}/") in names
        names.remove(path.removeprefix(f"{ACCOUNT}/"))
    assert not names


async def test_an_email_is_verified_by_the_mail_that_the_account_page_sends(browser, ada, mailbox):
    await log_in(browser, ada)
    before = await browser.get(ACCOUNT)
    sent = await send(browser, "/email-verification/send", "")
    answer = await use_link(browser, "/email-verification", await mailbox.token())
    after = await browser.get(answer.headers["Location"])

    assert sent.headers["Location"] == answer.headers["Location"] == ACCOUNT
    assert "not verified" in before.text
    assert "Your email is verified" in after.text
    assert "not verified" not in after.text
    assert "email-verification/send" not in after.text


async def test_a_browser_without_a_session_verifies_an_email_too(browser, ada, mailbox):
    await ada.post("/users/me/email-verification")
    answer = await use_link(browser, "/email-verification", await mailbox.token())
    page = await browser.get(answer.headers["Location"])

    assert "Your email is verified" in page.text
    assert "<title>Log in" in page.text
    assert (await ada.get("/users/me")).json()["email_verified_at"] is not None


async def test_mails_to_verify_are_counted_with_those_of_the_api(browser, ada, runtime):
    await log_in(browser, ada)
    limit = int(runtime.settings.limiter.recovery.split("/")[0])
    for _ in range(limit):
        assert (await ada.post("/users/me/email-verification")).status_code == 202

    assert (await send(browser, "/email-verification/send", "")).status_code == 429


async def test_an_invited_person_makes_an_account(browser, root, mailbox):
    await root.post("/users/invitations", json={"email": "grace@example.com", "full_name": "Grace"})
    token = await mailbox.token()

    answer = await use_link(browser, "/invitation", token, username="", full_name="", password=NEW)
    page = await browser.get(answer.headers["Location"])

    (grace,) = (await root.get("/users?search=grace")).json()["items"]
    assert answer.headers["Location"] == f"{ACCOUNT}/login"
    assert f"log in as {grace['username']}" in page.text
    assert (grace["full_name"], grace["is_superuser"]) == ("Grace", False)


async def test_an_invitation_refuses_a_taken_name_and_keeps_what_was_typed(browser, root, mailbox):
    await root.post("/users/invitations", json={"email": "grace@example.com"})
    token = await mailbox.token()
    typed = {"username": "root", "full_name": "Grace Hopper"}

    taken = await use_link(browser, "/invitation", token, password=NEW, **typed)
    weak = await use_link(browser, "/invitation", token, password="short", **typed)
    answer = await use_link(browser, "/invitation", token, password=NEW, username="grace")

    assert (taken.status_code, weak.status_code) == (409, 422)
    for page in (taken, weak):
        assert 'value="Grace Hopper"' in page.text
        assert 'value="root"' in page.text
    assert "taken" in taken.text
    assert answer.status_code == 303


async def test_an_address_that_has_an_account_by_now_is_told_in_words(
    browser, client, root, mailbox
):
    await root.post("/users/invitations", json={"email": "ada@example.com"})
    token = await mailbox.token()
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/users", json=credentials)).status_code == 201

    answer = await use_link(browser, "/invitation", token, password=NEW)

    assert answer.status_code == 409
    assert "Not done: email" in answer.text


async def test_a_deleted_account_is_kept_by_the_link_in_the_mail(browser, ada, mailbox):
    await log_in(browser, ada)
    deleted = await send(browser, "/deletion", current_password=PASSWORD)
    login = await browser.get(deleted.headers["Location"])
    refused = await log_in(browser, ada)
    answer = await use_link(browser, "/deletion-undo", await mailbox.token())
    page = await browser.get(answer.headers["Location"])

    assert (deleted.status_code, refused.status_code, answer.status_code) == (303, 401, 303)
    assert "Your account is inactive" in login.text
    assert "Your account is active again" in page.text
    assert (await log_in(browser, ada)).status_code == 303


async def test_a_deletion_needs_the_password(browser, ada):
    await log_in(browser, ada)

    answer = await send(browser, "/deletion", current_password="wrong")

    assert answer.status_code == 422
    assert "Is not the current password" in answer.text
    assert (await ada.get("/users/me")).status_code == 200


async def test_the_last_superuser_is_not_deleted(browser, root):
    await log_in(browser, root)

    answer = await send(browser, "/deletion", current_password=PASSWORD)

    assert answer.status_code == 409
    assert "At least one active superuser must remain" in answer.text


async def test_guesses_at_the_deletion_are_counted_with_those_of_the_api(browser, ada):
    await log_in(browser, ada)
    device = {"X-Device-Token": browser.cookies["__Host-backend_device"]}
    for _ in range(5):
        wrong = {"current_password": "wrong"}
        await ada.post("/users/me/deletion", json=wrong, headers=device)

    assert (await send(browser, "/deletion", current_password=PASSWORD)).status_code == 429


async def test_the_data_of_the_account_is_one_file(browser, ada, bob):
    await log_in(browser, ada)

    answer = await browser.get(f"{ACCOUNT}/export")

    assert answer.headers["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert answer.json()["users"][0]["email"] == ada.email
    assert bob.email not in answer.text


async def test_an_email_is_changed_and_the_change_undone(browser, ada, mailbox):
    await log_in(browser, ada)
    new = "ada@example.org"
    await send(browser, "/email", email=new, current_password=PASSWORD)
    asked = await browser.get(ACCOUNT)
    changed = await use_link(browser, "/email-change", await mailbox.token())
    after = await browser.get(changed.headers["Location"])
    undone = await use_link(browser, "/email-change-undo", await mailbox.token())
    login = await browser.get(undone.headers["Location"])

    assert f"is on its way to {new}" in asked.text
    assert "Your email is changed" in after.text
    assert f'title="Your account: {new}"' in after.text
    assert "Your old email is restored" in login.text
    assert (await ada.get("/users/me")).status_code == 401
    assert [mail.to for mail in await mailbox.receive()] == [ada.email]


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        ("ada@example.org", "wrong", "Is not the current password"),
        ("no address", PASSWORD, "Not a valid email address"),
    ],
)
async def test_a_refused_email_is_shown_again(browser, ada, mailbox, email, password, words):
    await log_in(browser, ada)

    answer = await send(browser, "/email", email=email, current_password=password)

    assert answer.status_code == 422
    assert words in answer.text
    assert f'value="{email}"' in answer.text
    assert await mailbox.queued() == []


async def test_a_taken_email_has_the_same_answer_and_gets_no_mail(browser, ada, bob, mailbox):
    await log_in(browser, ada)

    answer = await send(browser, "/email", email=bob.email, current_password=PASSWORD)

    assert answer.status_code == 303
    assert [mail for mail in await mailbox.receive() if "token=" in mail.text] == []
