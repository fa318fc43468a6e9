"""The one place where an exception becomes an HTTP response."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException  # noqa: TID251  # the router raises it: we only read it
from starlette.responses import JSONResponse

from app.core.exceptions import (
    AppException,
    BadRequestException,
    Detail,
    ForbiddenException,
    NotFoundException,
    PayloadTooLargeException,
    TooManyRequestsException,
    UnauthorizedException,
    ValidationException,
)
from app.core.telemetry.traces import trace_id

log = structlog.get_logger("app.errors")

_BY_STATUS: dict[int, type[AppException]] = {
    exception.status: exception
    for exception in (
        BadRequestException,
        UnauthorizedException,
        ForbiddenException,
        NotFoundException,
        PayloadTooLargeException,
        ValidationException,
        TooManyRequestsException,
    )
}
_FIELD_NAME = re.compile(r"[A-Za-z_]\w{0,31}|\d{1,4}")


def error_response(error: AppException) -> JSONResponse:
    """The contract's shape for `error`, with this request's id."""
    return shaped(error.status, error.error, error.message, error.details, error.headers)


def shaped(
    status: int,
    code: str,
    message: str,
    details: Iterable[Detail] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {
        "error": code,
        "message": message,
        "details": list(details),
        "request_id": correlation_id.get(),
    }
    traced = {"X-Trace-ID": found} if (found := trace_id()) else {}
    return JSONResponse(body, status, {**(headers or {}), **traced})


def http_error_response(status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The shape for a refusal by the framework, of which only the status is known."""
    if known := _BY_STATUS.get(status):
        return error_response(known(headers=headers))
    phrase = HTTPStatus(status).phrase
    return shaped(status, re.sub(r"\W+", "_", phrase.lower()), phrase, headers=headers)


def unhandled(error: Exception) -> JSONResponse:
    """A 500 for what nobody foresaw: logged with its traceback, told to the caller without."""
    log.error("unhandled_exception", exc_info=error)
    return error_response(AppException())


def violations(errors: Iterable[Mapping[str, Any]]) -> list[Detail]:
    """Pydantic's errors as details: the field's path and the reason, never the value."""
    return [{"field": _field(error["loc"]), "message": error["msg"]} for error in errors]


def _field(location: Sequence[str | int]) -> str:
    """`email` for what FastAPI calls `("body", "email")`; `body` where all of it is wrong.

    A part may be a name that the caller made up, or a position in what could not be parsed: one
    that looks like no field's name is left out. The names of headers are ours.
    """
    source, *parts = map(str, location)
    if source == "header":
        return parts[0]
    return ".".join(part for part in parts if _FIELD_NAME.fullmatch(part)) or source


async def _app_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppException)  # noqa: S101  # by registration; tells mypy
    return _logged(error, error.__cause__)


def translated_by(
    translate: Callable[[Any], AppException],
) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    """A handler for a library's exceptions, which `translate` turns into ours."""

    async def handle(_: Request, error: Exception) -> JSONResponse:
        return _logged(translate(error), error)

    return handle


def _logged(error: AppException, cause: BaseException | None) -> JSONResponse:
    """The caller hears that it failed; why, the log alone."""
    if error.status == 503:
        log.warning(error.error, cause=repr(cause))
    elif error.status >= 500:
        log.error(error.error, exc_info=cause or error)
    return error_response(error)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # by registration; tells mypy
    return error_response(ValidationException(details=violations(error.errors())))


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # by registration; tells mypy
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    return http_error_response(error.status_code, headers)


def _allowed_methods(request: Request) -> set[str]:
    """Those of every route at this path; the router names the first one's only."""
    path = request.scope["path"]
    return {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }


def add_exception_handlers(app: FastAPI) -> None:
    """Give every refusal, our own and the framework's, the contract's shape."""
    app.add_exception_handler(AppException, _app_exception)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
