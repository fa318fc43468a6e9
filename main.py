"""The application, wired once: `uvicorn main:app`."""

import gc
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from operator import itemgetter
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from app.admin.setup import include_admin
from app.api import health
from app.api.docs.setup import include_docs
from app.api.v1 import router as v1
from app.bootstrap import (
    prepare_database,
    show_generated_password,
    warn_without_mail,
    warn_without_superuser,
)
from app.core.config import LOCAL, Settings, get_settings
from app.core.errors import add_exception_handlers, translated_by
from app.core.logging import configure_logging
from app.core.middleware import is_probe, setup_middleware
from app.core.middleware.access_log import OnEnd, OnRefusal
from app.core.origin import Origin
from app.core.output import end_standard_output
from app.core.telemetry.ended_request import EndedRequest
from app.core.telemetry.lazy_tracing import OFF, load_tracing
from app.database import translate
from app.periodic import periodic_work
from app.runtime import Runtime, open_runtime
from app.server.connection_limits import limit_connections
from app.server.drain import stop_with_parent
from app.worker.worker import running_jobs

DESCRIPTION = """Users with roles, sessions that can be revoked, and figures for superusers.

Every refusal has one shape, whose `error` is a code that stays; every answer has an `X-Request-ID`,
which is in our log as well. Get a token at `/api/v1/auth/login`, and send it as a bearer token.
"""
TAGS = sorted((router.tag for router in (*v1.ROUTERS, health.router)), key=itemgetter("name"))


def create_app(settings: Settings, local: Path = LOCAL) -> FastAPI:
    """Build the application.

    It connects to nothing before its lifespan begins. Outside production the lifespan also
    migrates the database and creates the first superuser; in production `backend migrate` does.

    Args:
        settings: as loaded.
        local: where embedded servers and the generated secret key are kept.
    """
    configure_logging(settings)
    tracing = load_tracing(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        limit_connections(settings.server)
        stop_with_parent()
        async with AsyncExitStack() as stack:
            stack.callback(end_standard_output)  # soon a signal ends the process
            runtime = await stack.enter_async_context(open_runtime(settings, local))
            app.state.runtime = runtime
            warn_without_mail(runtime)
            if not settings.is_production:
                show_generated_password(await prepare_database(runtime), Console())
            else:
                await warn_without_superuser(runtime)
            if tracing is not None:
                stack.enter_context(tracing.watching(runtime.engine.sync_engine))
            await stack.enter_async_context(periodic_work(runtime))
            if settings.run_jobs_in_web:
                await stack.enter_async_context(running_jobs(runtime))
            # FastAPI puts included routes together at first use: 150 ms that would stop the event
            # loop under the first request.
            deque(iter_route_contexts(app.routes), maxlen=0)
            stack.enter_context(runtime.drain.on_sigterm())
            # What start-up made lives as long as the process. To look through all of it takes
            # a full collection 60 ms, in which the event loop stands still.
            gc.collect()
            gc.freeze()
            # A request makes some 300 objects, nearly all of which go with it. To look through
            # the youngest at every second request, as by default, takes 5 % of its time.
            gc.set_threshold(20_000, 20, 20)
            gc.enable()  # where a reload has switched it off
            yield

    app = FastAPI(
        title=settings.app.app_name,
        version=settings.app.app_version,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        servers=[{"url": "/", "description": "Where this document comes from"}],
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,  # FastAPI's own pages load scripts from other hosts: see `include_docs`
        telemetry=OFF if tracing is None else OFF | tracing.config(is_probe),
    )

    setup_middleware(app, settings, *_recorders(app))
    add_exception_handlers(app)
    app.add_exception_handler(SQLAlchemyError, translated_by(translate))
    for router in v1.ROUTERS:
        app.include_router(router, prefix=v1.PREFIX)
    app.include_router(health.router)
    if settings.docs.enabled:
        include_docs(app)
    include_admin(app)
    return app


def _recorders(app: FastAPI) -> tuple[OnRefusal, OnEnd]:
    """What is called after a request: see `AccessLog`."""

    def on_refusal(origin: Origin, method: str, route: str | None, status: int) -> None:
        runtime: Runtime = app.state.runtime
        runtime.refusals.add_request(origin, method, route, status)

    def on_end(request: EndedRequest) -> None:
        runtime: Runtime = app.state.runtime
        runtime.recent_requests.add(request)

    return on_refusal, on_end


app = create_app(get_settings())
