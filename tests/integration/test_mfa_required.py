"""`AUTH_MFA_REQUIRED_FOR`: users without a second factor can set one up, and nothing else."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import PASSWORD, Person, browsing, running
from tests.integration.test_access_matrix import (
    ANONYMOUS,
    MATRIX,
    PAGES,
    Cast,
    cast,
    hashed_password,
    operations,
    visit,
)
from tests.mfa import set_up

__all__ = ["cast", "hashed_password"]

LOGINS = {"login", "login_form", "login_mfa", "login_passkey", "refresh"}
ALLOWED = {
    *("get_me", "get_mfa", "begin_totp", "confirm_totp", "confirm"),
    *("passkey_registration_options", "register_passkey", "list_passkeys"),
    *("logout", "logout_all"),
}

ALLOWED_PAGES = {
    *("account_security", "account_begin_totp", "account_totp", "account_confirm_totp"),
    *("account_passkey_options", "account_register_passkey"),
    *("account_confirmation", "account_confirm", "account_confirm_by_passkey"),
    *("account_login", "dashboard_login_passkey", "dashboard_logout", "account_end_impersonation"),
    "account_choose_language",
}


@pytest.fixture(params=["superusers", "everyone"])
async def strict(request, settings, client) -> AsyncIterator[httpx.AsyncClient]:
    required = settings.replaced(auth={"mfa_required_for": request.param})
    async with running(required) as app, browsing(app) as browser:
        yield browser


async def test_a_superuser_without_a_factor_can_do_nothing_else(app, root: Person, strict):
    root.client = strict
    login = await root.login()
    for operation, (method, path) in operations(app).items():
        is_public = MATRIX[operation].status_for("anonymous") != "401"
        if is_public or operation in LOGINS | ALLOWED:
            continue
        body = MATRIX[operation].options or {}
        place = re.sub(r"\{\w+\}", "1", path.replace("{session_id}", "0" * 32))

        response = await root.request(method, place.removeprefix("/api/v1"), **body)

        assert (response.status_code, response.json()["error"]) == (
            403,
            "mfa_enrolment_required",
        ), operation
    assert login["access_token"]


async def test_on_the_pages_a_superuser_without_a_factor_is_led_to_set_one_up(
    app, client, cast: Cast, strict
):
    caller = await cast.caller("superuser", client)
    for page in PAGES.keys() - ANONYMOUS - ALLOWED_PAGES:
        response = await strict.request(**visit(app, page, caller))

        led = (response.status_code, response.headers.get("Location"))
        assert led == (303, "/account/security"), page


async def test_it_is_led_to_set_one_up_and_then_may_do_all(root: Person, strict):
    root.client = strict
    login = await root.login()
    refused = await root.get("/users")
    status = await root.get("/users/me/mfa")

    await set_up(root)

    assert login["mfa_enrolment_required"] is True
    assert refused.status_code == 403
    assert status.json()["is_required"] is True
    assert (await root.get("/users")).status_code == 200


async def test_a_sign_up_with_such_a_token_is_refused(root: Person, strict):
    root.client = strict
    await root.login()

    response = await root.post("/users", json={"email": "x@example.com", "password": PASSWORD})

    assert response.json()["error"] == "mfa_enrolment_required"


async def test_plain_users_are_free_where_superusers_are_bound(settings, ada: Person):
    required = settings.replaced(auth={"mfa_required_for": "superusers"})
    async with running(required) as app, browsing(app) as browser:
        ada.client = browser
        login = await ada.login()

        assert "mfa_enrolment_required" not in login
        assert (await ada.get("/auth/sessions")).status_code == 200
