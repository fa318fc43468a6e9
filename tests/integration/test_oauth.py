"""`/auth/token` refuses as RFC 6749 §5.2 says, with the members of every other error as well."""

import re
from threading import BoundedSemaphore
from typing import Any

import httpx
import pytest

from tests.conftest import PASSWORD, Person, browsing
from tests.integration.test_rate_limits import limiting, refused

TOKEN = "/api/v1/auth/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ADA = {"username": "ada", "password": PASSWORD}


def refusal(response: httpx.Response) -> dict[str, Any]:
    """The body of a 400 by the RFC, after a look at all that each has in common."""
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response.headers
    body: dict[str, Any] = response.json()
    assert set(body) == {"error", "error_description", "message", "details", "request_id"}
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", body["error_description"])
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


@pytest.mark.parametrize("grant", [{}, {"grant_type": "password"}])
async def test_the_grant_type_may_be_named(client, ada, grant):
    response = await client.post(TOKEN, data=ADA | grant)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["token_type"] == "bearer"


async def test_credentials_of_a_client_are_ignored(client, ada):
    """As Swagger UI sends them: there are no secrets of clients."""
    response = await client.post(TOKEN, data=ADA, auth=("swagger", ""))

    assert response.status_code == 200


async def test_an_unknown_account_a_wrong_password_and_a_disabled_account_are_alike(
    client, ada: Person, bob: Person, root: Person
):
    await root.patch(f"/users/{bob.id}", json={"is_active": False})
    forms = [
        {"username": "nobody", "password": PASSWORD},
        {"username": ada.email, "password": "wrong"},
        {"username": bob.email, "password": PASSWORD},
    ]

    answers = [await client.post(TOKEN, data=form) for form in forms]

    bodies = [refusal(answer) for answer in answers]
    for body in bodies:
        body.pop("request_id")
    assert bodies == [
        {
            "error": "invalid_grant",
            "error_description": "Incorrect email or password",
            "message": "Incorrect email or password",
            "details": [],
        }
    ] * len(forms)
    names = [sorted(answer.headers) for answer in answers]
    assert names == [names[0]] * len(forms)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("", ["username", "password"]),
        ("username=ada", ["password"]),
        ("username=&password=x", ["username"]),
        ("username=a%00b&password=x", ["username"]),
        ("username=ada&password=%ff", []),
        ("&" * 5000, []),
    ],
    ids=lambda value: repr(value[:24]),
)
async def test_a_form_that_is_not_valid_is_an_invalid_request(client, content, fields):
    body = refusal(await client.post(TOKEN, content=content, headers=FORM))

    assert body["error"] == "invalid_request"
    assert [detail["field"] for detail in body["details"]] == fields


async def test_an_unknown_query_parameter_is_an_invalid_request(client, ada):
    body = refusal(await client.post(f"{TOKEN}?grant_type=password", data=ADA))

    assert body["error"] == "invalid_request"
    assert (body["details"][0]["field"], body["details"][0]["code"]) == ("grant_type", "unknown")


@pytest.mark.parametrize("grant_type", ["client_credentials", "refresh_token", "password "])
async def test_another_grant_type_is_not_supported(client, ada, grant_type):
    body = refusal(await client.post(TOKEN, data=ADA | {"grant_type": grant_type}))

    assert body["error"] == "unsupported_grant_type"
    assert body["details"][0]["field"] == "grant_type"


async def test_a_body_of_another_type_is_a_415_as_everywhere(client):
    response = await client.post(TOKEN, json=ADA)

    assert response.status_code == 415
    assert response.json()["error"] == "unsupported_media_type"


async def test_a_rate_limit_is_a_429_as_everywhere(settings, client, ada):
    async with limiting(settings, login="1/minute") as app, browsing(app) as strict:
        answers = [await strict.post(TOKEN, data=ADA | {"password": "wrong"}) for _ in range(2)]

    assert refusal(answers[0])["error"] == "invalid_grant"
    assert refused(answers[1])


async def test_an_overload_is_a_503_as_everywhere(runtime, client, ada, monkeypatch):
    monkeypatch.setattr(runtime.passwords, "_places", BoundedSemaphore(1))
    runtime.passwords._places.acquire()

    response = await client.post(TOKEN, data=ADA)

    assert response.status_code == 503
    assert response.json()["error"] == "service_unavailable"
    assert response.headers["Retry-After"] == "1"


async def test_the_other_login_answers_as_everywhere(client, ada):
    wrong = {"email": ada.email, "password": "wrong"}

    response = await client.post("/api/v1/auth/login", json=wrong)

    assert response.status_code == 401
    assert set(response.json()) == {"error", "message", "details", "request_id"}
    assert response.headers["WWW-Authenticate"] == "Bearer"
