"""Exception handlers: convert exceptions into HTTP responses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException  # noqa: TID251  # the router raises it: we only read it
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.core.details import violations
from app.core.exceptions import (
    AppException,
    BadRequestException,
    ForbiddenException,
    FrameworkException,
    NotFoundException,
    PayloadTooLargeException,
    TooManyRequestsException,
    UnauthorizedException,
    UnsupportedMediaTypeException,
    ValidationException,
)
from app.core.telemetry.lazy_tracing import trace_id

log = structlog.get_logger("app.errors")

_BY_STATUS: dict[int, type[AppException]] = {
    exception.status: exception
    for exception in (
        BadRequestException,
        UnauthorizedException,
        ForbiddenException,
        NotFoundException,
        PayloadTooLargeException,
        UnsupportedMediaTypeException,
        ValidationException,
        TooManyRequestsException,
    )
}
MAX_DETAILS = 100
"""Faults of a request that its answer lists; the rest are counted."""


Handler = Callable[[Request, AppException], Awaitable[Response]]
"""The application's handler of `AppException`."""


def error_body(error: AppException) -> dict[str, Any]:
    """The contract's shape for `error`, with this request's id."""
    return {
        "error": error.error,
        "message": error.message,
        "details": error.details,
        "request_id": correlation_id.get(),
        **error.members,
    }


def error_headers(error: AppException) -> dict[str, str]:
    """The error's own headers, and the trace's id where one is taken."""
    traced = {"X-Trace-ID": found} if (found := trace_id()) else {}
    return {**error.headers, **traced}


def json_response(error: AppException) -> JSONResponse:
    """`error` in the contract's shape."""
    return JSONResponse(error_body(error), error.status, error_headers(error))


def log_failure(error: AppException) -> None:
    """Log why a request failed (503, 500 and above). The response says only that it did."""
    if error.is_logged:
        return
    if error.status == 503:
        log.warning(error.error, cause=repr(error.__cause__))
    elif error.status >= 500:
        log.error(error.error, exc_info=error.__cause__ or error)


async def handle_app_exception(_: Request, error: Exception) -> Response:
    """Exception handler of `AppException`: logs it, and answers in JSON.

    Every error is answered by the application's handler of `AppException`, whichever layer it comes
    from. An application that registers another handler replaces this one for all of them.
    """
    assert isinstance(error, AppException)  # noqa: S101  # by registration; tells mypy
    log_failure(error)
    return json_response(error)


async def error_response(request: Request, error: AppException) -> Response:
    """The response to `error` by the application's handler of `AppException`."""
    app = request.scope.get("app")
    handlers = app.exception_handlers if app else {}
    handle: Handler = handlers.get(AppException, handle_app_exception)
    return await handle(request, error)


async def send_error(error: AppException, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with `error`, from a middleware, which logs failures itself."""
    error.is_logged = True
    response = await error_response(Request(scope), error)
    await response(scope, receive, send)


def framework_error(status: int, headers: Mapping[str, str] | None = None) -> AppException:
    """The error for a refusal by the framework, of which only the status is known."""
    if known := _BY_STATUS.get(status):
        return known(headers=headers)
    return FrameworkException(status, headers)


def translated_by(
    translate: Callable[[Any], AppException],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler for a library's exceptions, which `translate` turns into ours."""

    async def handle(request: Request, error: Exception) -> Response:
        translated = translate(error)
        translated.__cause__ = error
        return await error_response(request, translated)

    return handle


def invalid_request(error: RequestValidationError) -> ValidationException:
    """The framework's error of validation as ours."""
    errors = error.errors()
    message = ValidationException.message
    if (more := len(errors) - MAX_DETAILS) > 0:
        message = f"{message}; {more:,} more than those listed"
    details = violations(errors[:MAX_DETAILS])
    return ValidationException(message, details=details)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # by registration; tells mypy
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
        if request.method == "OPTIONS":  # no route has it: the caller asks for `Allow`
            return Response(status_code=204, headers=headers)
    return await error_response(request, framework_error(error.status_code, headers))


def _allowed_methods(request: Request) -> set[str]:
    """Those of every route at this path, of which the router names the first one's only, and those
    that come with them."""
    path = request.scope["path"]
    declared = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }
    return declared | {"OPTIONS"} | ({"HEAD"} if "GET" in declared else set())


def add_exception_handlers(app: FastAPI) -> None:
    """Give every refusal, our own and the framework's, the contract's shape."""
    app.add_exception_handler(AppException, handle_app_exception)
    app.add_exception_handler(RequestValidationError, translated_by(invalid_request))
    app.add_exception_handler(HTTPException, _http_exception)
