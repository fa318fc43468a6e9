"""What only a real server and a real socket show."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, Servers
from tests.process import instance


@contextmanager
def serving(servers: Servers, **environment: str) -> Iterator[int]:
    """`uvicorn main:app` in a process of its own; yields its port, and ends it by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = {
        "DATABASE_URL": servers.postgres,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that is only used in the tests",
        **environment,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


@pytest.fixture(scope="module")
def port(servers: Servers) -> Iterator[int]:
    with serving(servers) as port:
        yield port


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
        connection = HTTPConnection(served.url.removeprefix("http://"), timeout=10)
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


def test_a_request_past_the_deadline_is_a_504(servers):
    with serving(servers, SERVER_REQUEST_TIMEOUT="0.005") as port:
        account = json.dumps({"email": "late@example.com", "password": PASSWORD}).encode()
        headers = ("Content-Type: application/json", f"Content-Length: {len(account)}")
        response, body = exchange(port, head("POST", "/api/v1/auth/login", *headers), account)

    assert response.status == 504
    assert json.loads(body)["message"] == "Request exceeded 0.005s timeout"


def test_with_everything_strict_it_starts_and_refuses(servers):
    strict = {
        "SERVER_TRUSTED_HOSTS": "test,*.example.com",
        "SERVER_FORCE_HTTPS": "true",
        "CORS_ORIGINS": "https://app.example.com",
        "ENVIRONMENT": "production",
    }
    with serving(servers, **strict) as port:
        probe, _ = exchange(port, head("GET", "/health"))
        redirect, _ = exchange(port, head("GET", "/docs"))

    assert probe.status == 200
    assert redirect.status == 307
    assert redirect.headers["Location"] == "https://test/docs"
