"""Adds the OpenAPI document and its two pages to an application."""

from functools import cache

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.api.docs.pages import REDOC, SWAGGER, DocsPage, assets
from app.api.routing import Router
from app.api.static_files import StaticFile


def include_docs(app: FastAPI) -> None:
    """Add `/openapi.json`, `/docs`, `/redoc`, and the static files of the pages."""
    router = Router(include_in_schema=False)

    @cache
    def document() -> StaticFile:
        return StaticFile(bytes(JSONResponse(app.openapi()).body), "application/json")

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        """The OpenAPI document; made at the first request, which takes a moment."""
        file = await anyio.to_thread.run_sync(document)
        return await file.response(request, "no-store")

    def add_page(path: str, page: DocsPage) -> None:
        async def show() -> HTMLResponse:
            return page.response(app.title)

        router.add_api_route(path, show, methods=["GET"])

    add_page("/docs", SWAGGER)
    add_page("/redoc", REDOC)
    app.include_router(router)
    app.include_router(assets.router)
