"""Every refusal has the contract's shape, headers and one log line."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException as RouterException  # noqa: TID251  # as the router does
from starlette.types import Message

from app.core.config import Settings
from main import create_app
from tests.conftest import browsing

ORIGIN = "https://app.example.com"


def shape(response: httpx.Response) -> dict[str, Any]:
    """The body, after a look at everything that each refusal has in common."""
    refusal: dict[str, Any] = response.json()
    assert set(refusal) == {"error", "message", "details", "request_id"}
    assert refusal["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" in response.headers
    assert response.headers["access-control-allow-origin"] == ORIGIN
    return refusal


@pytest.fixture(scope="module")
async def strict_app(app, settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with everything that refuses switched on."""
    strict = create_app(
        settings.replaced(
            server={"trusted_hosts": ("test", "*.example.com"), "max_body_bytes": 1000},
            cors={"origins": (ORIGIN,)},
        )
    )

    @strict.get("/crash")
    async def crash() -> None:
        raise RuntimeError("postgresql://root:secret@db/app")

    @strict.get("/crash-midway")
    async def crash_midway() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"some"
            raise RuntimeError("midway")

        return StreamingResponse(parts())

    @strict.get("/teapot")
    async def teapot() -> None:
        raise RouterException(418)

    async with strict.router.lifespan_context(strict):
        yield strict


@pytest.fixture
async def strict(strict_app: FastAPI, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(strict_app, headers={"Origin": ORIGIN}) as strict_client:
        yield strict_client


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "error"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "not_found"),
        ("GET", "/api/v1/users/", {}, 404, "not_found"),
        ("PUT", "/api/v1/users/me", {}, 405, "method_not_allowed"),
        ("GET", "/api/v1/users/me", {}, 401, "unauthorized"),
        ("POST", "/api/v1/auth/login", {"json": {}}, 422, "validation_error"),
        ("POST", "/api/v1/auth/login", {"content": b"x" * 1001}, 413, "payload_too_large"),
        ("GET", "/crash", {}, 500, "internal_error"),
        ("GET", "/teapot", {}, 418, "i_m_a_teapot"),
        ("GET", "/", {"headers": {"Host": "evil.example.org"}}, 400, "bad_request"),
    ],
)
async def test_every_refusal_has_the_same_shape(strict, method, path, options, status, error):
    response = await strict.request(method, path, **options)

    assert response.status_code == status
    assert shape(response)["error"] == error


async def test_a_405_names_the_methods_that_are_allowed(strict):
    response = await strict.put("/api/v1/users/7")

    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"


async def test_a_word_is_no_id_of_a_user(strict):
    response = await strict.delete("/api/v1/users/me")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"


async def test_a_401_asks_for_a_bearer_token(strict):
    response = await strict.get("/api/v1/users/me")

    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_422_names_the_fields_and_never_what_was_submitted(strict):
    secret = "hunter2-hunter2"
    sign_up = {"email": f"{secret} at", "password": secret, "username": secret + "!", secret: 1}

    response = await strict.post("/api/v1/users", json=sign_up)

    assert {detail["field"] for detail in shape(response)["details"]} >= {
        "email",
        "username",
    }
    assert secret not in response.text


async def test_a_crash_is_logged_whole_and_its_response_reveals_nothing(strict, logged):
    response = await strict.get("/crash")

    assert "secret" not in response.text
    (crash,) = [line for line in logged() if line["event"] == "unhandled_exception"]
    assert crash["request_id"] == response.headers["x-request-id"]
    assert crash["exception"][0]["exc_type"] == "RuntimeError"


async def test_a_response_that_breaks_midway_is_not_completed(strict_app, client):
    async with browsing(strict_app) as strict:
        response = await strict.get("/crash-midway")

    # httpx in process keeps what was sent; a real server cuts the connection.
    assert response.text == "some"


async def test_a_body_without_a_length_header_is_refused_when_it_is_too_large(strict_app):
    """As HTTP/2 has them: there the end of a stream ends the body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 400, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "2",
        "method": "POST",
        "scheme": "https",
        "path": "/api/v1/auth/login",
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"content-type", b"application/json")],
    }
    await strict_app(scope, receive, send)

    assert sent[0]["status"] == 413


async def test_a_body_in_parts_is_refused_when_the_parts_are_too_large(strict):
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b'"' + b"x" * 400

    response = await strict.post(
        "/api/v1/auth/login", content=parts(), headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 413
    assert shape(response)["error"] == "payload_too_large"


async def test_a_body_of_the_exact_limit_is_read(strict):
    content = json.dumps({"email": "a@example.com", "password": "x"}).encode().ljust(1000)

    response = await strict.post(
        "/api/v1/auth/login", content=content, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 401


async def test_probes_are_answered_whatever_the_host_and_scheme(app, settings):
    strict = create_app(
        settings.replaced(server={"trusted_hosts": ("example.com",), "force_https": True})
    )
    async with strict.router.lifespan_context(strict), browsing(strict) as probe:
        for path in ("/health", "/health/live", "/health/ready"):
            assert (await probe.get(path, headers={"Host": "10.0.0.7"})).status_code == 200
        redirect = await probe.get("/docs", headers={"Host": "example.com"})
        unknown = await probe.get("https://10.0.0.7/docs")

    assert redirect.status_code == 307
    assert redirect.headers["location"] == "https://example.com/docs"
    assert "max-age" in redirect.headers["strict-transport-security"]
    assert unknown.status_code == 400


async def test_a_preflight_from_an_allowed_origin_is_answered(strict):
    response = await strict.options(
        "/api/v1/users",
        headers={
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_scripts_of_an_allowed_origin_may_read_the_rate_limits(strict):
    response = await strict.post("/api/v1/auth/login", json={"email": "x", "password": "x"})

    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


async def test_a_preflight_from_another_origin_is_refused_in_the_same_shape(strict):
    response = await strict.options(
        "/api/v1/users",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )

    assert response.status_code == 400
    assert response.json()["error"] == "bad_request"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("sent", ["abc-123_X.y", "a" * 64])
async def test_a_callers_request_id_is_used(strict, sent):
    response = await strict.get("/health/live", headers={"X-Request-ID": sent})

    assert response.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 65, "a b", "a\tb", "ä", "<script>", "a/b"])
async def test_an_unfit_request_id_is_replaced(strict, sent):
    response = await strict.get("/health/live", headers={"X-Request-ID": sent.encode()})

    assert response.headers["x-request-id"] != sent
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("path", "host", "status", "route"),
    [
        ("/health/live", "test", 422, "/health/live"),
        ("/api/v1/users/7", "test", 401, "/api/v1/users/{user_id}"),
        ("/nowhere", "test", 404, None),
        ("/crash", "test", 500, "/crash"),
        ("/docs", "evil.example.org", 400, None),
    ],
)
async def test_each_request_has_exactly_one_access_line(strict, logged, path, host, status, route):
    response = await strict.get(path + "?secret=hunter2", headers={"Host": host})

    (access,) = [line for line in logged() if line["event"] == "request"]
    assert (
        access.items()
        >= {
            "method": "GET",
            "path": path,
            "route": route,
            "status": status,
            "client": "192.0.2.7",
            "principal": None,
            "request_id": response.headers["x-request-id"],
        }.items()
    )
    assert access["duration_ms"] >= 0
    assert "hunter2" not in str(logged())
