"""The decorator `@cache(expire=60)`, and the HTTP response for a cached result."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from enum import Enum
from functools import wraps
from hashlib import sha256
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Union, get_args, get_origin
from uuid import UUID

from fastapi_cache import FastAPICache
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from app.core.cache.results import CacheMode, Entry, current_cache

Function = Callable[..., Awaitable[Any]]

_REQUEST, _RESPONSE = "cache_request", "cache_response"
_INJECTED = (
    Parameter(_REQUEST, Parameter.KEYWORD_ONLY, annotation=Request),
    Parameter(_RESPONSE, Parameter.KEYWORD_ONLY, annotation=Response),
)
_PRIMITIVES = (bool, int, float, str, date, datetime, UUID, Enum)
_MODES = {mode.value: mode for mode in (CacheMode.NO_CACHE, CacheMode.NO_STORE)}


class Lookup(Protocol):
    """A method with `@cache`, its other arguments bound."""

    def __call__(self, *, mode: CacheMode) -> Awaitable[Entry]: ...


class Unkeyed(NamedTuple):
    """Marks a dependency on which no result depends, such as a service:
    `Annotated[Service, Depends(…), Unkeyed("…")]`."""

    reason: str


def cache(expire: int) -> Callable[[Function], Function]:
    """Cache what an endpoint or a method returns, as JSON, for every caller.

    The key is the function's name and its parameters, without `self`. An endpoint responds with
    `cached_response`; its dependencies run first, so that a caller who is refused never reads the
    cache. A method takes a `CacheMode` as `mode`, and returns an `Entry`.

    Args:
        expire: seconds.

    Raises:
        TypeError: when decorating: a parameter cannot be part of a key, and is not `Unkeyed`.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        keyed = _keyed_parameters(function.__name__, signature)

        @wraps(function)
        async def cached(
            *args: Any, mode: CacheMode = CacheMode.DEFAULT, **kwargs: Any
        ) -> Entry | Response:
            request, response = kwargs.pop(_REQUEST, None), kwargs.pop(_RESPONSE, None)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            parameters = ",".join(f"{name}={bound.arguments[name]!r}" for name in keyed)
            key = f"{function.__name__}:{parameters}"

            async def compute() -> bytes:
                return to_json(await function(*args, **kwargs))

            async def look_up(*, mode: CacheMode) -> Entry:
                return await current_cache().get_or_compute(key, expire, compute, mode)

            if request is None:
                return await look_up(mode=mode)
            return await cached_response(request, response, look_up)

        # FastAPI reads it; for a method it means nothing.
        cached.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*signature.parameters.values(), *_INJECTED]
        )
        return cached

    return decorate


async def cached_response(request: Request, response: Response, look_up: Lookup) -> Response:
    """The response for a cached result, or 304 where the client has it already.

    `Cache-Control: no-cache` of the request computes anew for every caller, `no-store` for this
    one. The ETag is of the content, and so the same in every process; the response is `private`,
    since it may depend on the caller's permissions.

    Args:
        request: to respond to.
        response: has the headers that dependencies have set.
        look_up: the cached method.
    """
    mode = _MODES.get(request.headers.get("Cache-Control", ""), CacheMode.DEFAULT)
    entry = await look_up(mode=mode)
    result = Response(entry.body, media_type="application/json")
    if current_cache().is_enabled:
        etag = f'W/"{sha256(entry.body).hexdigest()[:32]}"'  # weak: it may be compressed later
        if _matches(request, etag):
            result = Response(status_code=304)
        result.headers.update(_cache_headers(entry, etag))
    result.raw_headers += response.raw_headers
    return result


def _matches(request: Request, etag: str) -> bool:
    known = {tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")}
    return bool(known & {etag, etag.removeprefix("W/"), "*"})


def _cache_headers(entry: Entry, etag: str) -> dict[str, str]:
    headers = {"ETag": etag, "Vary": "Authorization, Cookie"}
    if not entry.ttl:
        return headers | {"Cache-Control": "private, no-store"}
    status = "HIT" if entry.is_hit else "MISS"
    return headers | {
        "Cache-Control": f"private, max-age={entry.ttl}",
        FastAPICache.get_cache_status_header(): status,
    }


def _keyed_parameters(function: str, signature: inspect.Signature) -> list[str]:
    """The names of the parameters that make up a key."""
    keyed = []
    for name, parameter in signature.parameters.items():
        metadata = getattr(parameter.annotation, "__metadata__", ())
        if name == "self" or any(isinstance(mark, Unkeyed) for mark in metadata):
            continue
        if not _is_primitive(parameter.annotation):
            raise TypeError(f"{function}: {name} cannot be part of a cache key")
        keyed.append(name)
    return keyed


def _is_primitive(annotation: Any) -> bool:
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_primitive(members[0])
    if origin in {Union, UnionType}:
        return all(member is NoneType or _is_primitive(member) for member in members)
    return origin is Literal or (
        isinstance(annotation, type) and issubclass(annotation, _PRIMITIVES)
    )
