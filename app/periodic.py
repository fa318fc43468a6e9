"""Work that comes round again, in one process at a time."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.exceptions import AppException
from app.runtime import Runtime
from app.services import SessionService

log = structlog.get_logger("app.periodic")

PURGE_EVERY = 3600.0
"""Seconds, give or take a tenth, so that processes started together do not come together."""


@asynccontextmanager
async def periodic_work(runtime: Runtime) -> AsyncIterator[None]:
    """Have it done in the background while the block runs."""
    task = asyncio.create_task(_purge_sessions(runtime))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _purge_sessions(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(PURGE_EVERY * random.uniform(0.9, 1.1))  # noqa: S311  # no secret
        try:
            async with runtime.session_maker() as db:
                count = await SessionService(db, runtime.principals).purge()
        except (AppException, SQLAlchemyError) as error:
            log.warning("purge_failed", reason=repr(error))
        else:
            log.info("purged_sessions", count=count)
