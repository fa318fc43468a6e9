"""What a request leaves for the garbage collector."""

import gc
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI

from tests.conftest import Person

REQUESTS = 50


async def ask(app: FastAPI, path: str, token: str) -> int:
    """Send a GET request without a client library, which makes garbage of its own; the status."""
    statuses = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("192.0.2.7", 4711),
        "server": ("test", 80),
        "state": {},
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    (status,) = statuses
    return int(status)


@pytest.mark.parametrize(
    "path", ["/health/live", "/api/v1/users/me", "/api/v1/dashboard/stats", "/api/v1/users"]
)
async def test_a_request_leaves_no_reference_cycle(app: FastAPI, root: Person, path: str):
    """A cycle that holds a request has the collector run more often: a fifth of its time."""
    token = root.tokens["access_token"]
    await ask(app, path, token)
    gc.collect()
    gc.disable()
    try:
        statuses = {await ask(app, path, token) for _ in range(REQUESTS)}
        unreachable = gc.collect()
    finally:
        gc.enable()

    assert statuses == {200}
    assert unreachable < 5 * REQUESTS  # background work has some as well
