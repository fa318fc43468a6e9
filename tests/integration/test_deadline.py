"""After a 504 nothing is committed, no backend is active and the pool is clean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from app.api.deps.requests import Deadline
from app.api.deps.services import Session
from app.core.config import Settings
from app.models import User
from app.services.base import BaseService
from main import create_app
from tests.conftest import browsing

TIMEOUT = 1.0


def somebody(name: str) -> User:
    return User(email=f"{name}@example.com", username=name, hashed_password="none")


router = APIRouter(prefix="/slow")


@router.get("/sleep")
async def sleep() -> None:
    await asyncio.sleep(30)


@router.get("/query")
async def query(db: Session) -> None:
    await db.execute(text("SELECT pg_sleep(30)"))


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(6):
            await asyncio.sleep(TIMEOUT / 3)
            yield b"part "

    return StreamingResponse(parts())


@router.post("/commits-late")
async def commits_late(db: Session) -> None:
    async with BaseService(db).transaction():
        db.add(somebody("late"))
        await db.flush()
        await asyncio.sleep(30)


@router.post("/commits-stubbornly")
async def commits_stubbornly(db: Session) -> None:
    async with BaseService(db).transaction():
        db.add(somebody("stubborn"))
        await db.flush()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)


@router.get("/patient", dependencies=[Depends(Deadline(5))])
async def patient() -> str:
    await asyncio.sleep(TIMEOUT * 1.5)
    return "done"


@pytest.fixture(scope="module")
async def slow_app(app, settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with a short deadline, and handlers that miss it."""
    slow = create_app(settings.replaced(server={"request_timeout": TIMEOUT}))
    slow.include_router(router)
    async with slow.router.lifespan_context(slow):
        yield slow


@pytest.fixture
async def slow(slow_app: FastAPI, client) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(slow_app) as slow_client:
        yield slow_client


async def active_backends(app: FastAPI, statement: str) -> int:
    """Backends that run something like `statement` at this moment."""
    async with app.state.runtime.health._engine.connect() as connection:
        count = await connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'"
                " AND pid <> pg_backend_pid() AND query LIKE :statement"
            ),
            {"statement": statement},
        )
    return int(count)


async def settles(condition) -> bool:
    """Whether it holds soon."""
    for _ in range(200):
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/slow/sleep"),
        ("GET", "/slow/query"),
        ("POST", "/slow/commits-late"),
        ("POST", "/slow/commits-stubbornly"),
    ],
)
async def test_what_misses_the_deadline_is_a_504_and_leaves_nothing(slow, slow_app, method, path):
    response = await slow.request(method, path)

    assert response.status_code == 504
    assert response.json()["error"] == "request_timeout"
    assert response.json()["message"] == f"Request exceeded {TIMEOUT}s timeout"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    runtime = slow_app.state.runtime

    async def is_clean() -> bool:
        return runtime.engine.pool.checkedout() == 0 and not await active_backends(
            slow_app, "%pg_sleep%"
        )

    assert await settles(is_clean)
    async with runtime.session_maker() as db:
        assert await db.scalar(text("SELECT count(*) FROM users")) == 0


async def test_the_pool_works_on_after_many_timeouts(slow, slow_app):
    timeouts = await asyncio.gather(*(slow.get("/slow/query") for _ in range(30)))

    assert {response.status_code for response in timeouts} <= {503, 504}
    pool = slow_app.state.runtime.engine.pool

    async def is_returned() -> bool:
        return bool(pool.checkedout() == 0)

    async def is_healthy() -> bool:
        return bool((await slow.get("/health")).status_code == 200)

    assert await settles(is_returned)
    assert await settles(is_healthy)  # behind a pooler, the server's connections are few
    async with slow_app.state.runtime.session_maker() as db:
        assert await db.scalar(text("SELECT 1")) == 1


async def test_a_stream_may_take_longer_than_the_deadline(slow):
    response = await slow.get("/slow/stream")

    assert response.text == "part " * 6


async def test_a_route_may_have_a_deadline_of_its_own(slow):
    response = await slow.get("/slow/patient")

    assert response.status_code == 200


async def test_a_timeout_is_logged_with_its_route(slow, logged):
    await slow.get("/slow/sleep")

    (timeout,) = [line for line in logged() if line["event"] == "request_timeout"]
    assert timeout["route"] == "/slow/sleep"
    assert timeout["timeout"] == TIMEOUT
