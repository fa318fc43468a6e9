"""What only a real server and a real socket show."""

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, Servers
from tests.process import instance

JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def port(servers: Servers, app: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with instance(servers, tmp_path_factory.mktemp("instance")) as served:
        yield served.port


def exchange(port: int, *parts: bytes) -> tuple[HTTPResponse, bytes]:
    """Send `parts` as they are, and read one response."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        response = HTTPResponse(connection, method=parts[0].split(maxsplit=1)[0].decode())
        response.begin()
        return response, response.read()


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


def test_a_body_declared_too_large_is_refused_before_it_is_sent(port):
    response, body = exchange(
        port,
        head(
            "POST",
            "/api/v1/auth/login",
            "Content-Type: application/json",
            "Content-Length: 9999999",
        ),
    )

    assert response.status == 413
    assert json.loads(body)["error"] == "payload_too_large"
    assert json.loads(body)["request_id"] == response.headers["X-Request-ID"]


def test_a_chunked_body_is_refused_when_it_becomes_too_large(port):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    response, body = exchange(
        port,
        head(
            "POST",
            "/api/v1/auth/login",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
        ),
        *[chunk] * 17,
    )

    assert response.status == 413
    assert json.loads(body)["error"] == "payload_too_large"


def test_a_connection_serves_on_after_a_refusal(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for path, status in (("/nothing", 404), ("/health/live", 200), ("/nothing", 404)):
            connection.sendall(head("GET", path))
            response = HTTPResponse(connection)
            response.begin()
            response.read()
            assert response.status == status


def test_an_idle_connection_is_kept_for_a_proxy_to_use_again(servers: Servers, tmp_path: Path):
    """uvicorn by itself closes it after 5 s, and a request may be on its way by then."""
    with instance(servers, tmp_path) as served:
        connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
        statuses = []
        for pause in (0, 6):
            time.sleep(pause)
            connection.request("GET", "/health/live")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    assert statuses == [200, 200]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_over_the_wire(port, method):
    response, body = exchange(port, head(method, "/health", "Connection: close"))

    assert response.status == 200
    assert (json.loads(body)["status"] == "healthy") if method == "GET" else body == b""


def test_head_and_body_of_a_response_arrive_together(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(50):
            connection.sendall(head("GET", "/health/live"))
            first, _, body = connection.recv(65_536).partition(b"\r\n\r\n")

            assert f"content-length: {len(body)}".encode() in first.splitlines()
            assert json.loads(body) == {"status": "alive"}


def test_an_interim_response_does_not_wait_for_the_body_that_it_asks_for(port):
    body = b"{}"
    length = f"Content-Length: {len(body)}"
    asking = head("POST", "/api/v1/auth/login", JSON, length, "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(asking)
        interim = connection.recv(65_536)
        connection.sendall(body)
        response = HTTPResponse(connection, method="POST")
        response.begin()

        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert response.status == 422
        assert json.loads(response.read())["error"] == "validation_error"


def test_a_request_past_the_deadline_is_a_504(servers, app, tmp_path):
    with instance(servers, tmp_path, SERVER_REQUEST_TIMEOUT="0.005") as served:
        account = json.dumps({"email": "late@example.com", "password": PASSWORD}).encode()
        headers = ("Content-Type: application/json", f"Content-Length: {len(account)}")
        request = head("POST", "/api/v1/auth/login", *headers)
        response, body = exchange(served.port, request, account)

    assert response.status == 504
    assert json.loads(body)["message"] == "Request exceeded 0.005s timeout"


def test_with_everything_strict_it_starts_and_refuses(servers, app, tmp_path):
    strict = {
        "SERVER_TRUSTED_HOSTS": "test,*.example.com",
        "SERVER_FORCE_HTTPS": "true",
        "CORS_ORIGINS": "https://app.example.com",
        "ENVIRONMENT": "production",
    }
    with instance(servers, tmp_path, None, **strict) as served:
        probe, _ = exchange(served.port, head("GET", "/health"))
        redirect, _ = exchange(served.port, head("GET", "/docs"))

    assert probe.status == 200
    assert redirect.status == 307
    assert redirect.headers["Location"] == "https://test/docs"
