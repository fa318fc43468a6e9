"""`@cache(expire=60)`: fastapi-cache2's decorator around an endpoint, with its faults mended."""

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import date, datetime
from enum import Enum
from functools import wraps
from hashlib import sha256
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from fastapi_cache import FastAPICache
from fastapi_cache.coder import JsonCoder
from fastapi_cache.decorator import cache as fastapi_cache  # noqa: TID251  # mended here
from fastapi_cache.types import Backend
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from app.core.cache.answers import AnswerCache, Lookup

Endpoint = Callable[..., Awaitable[Any]]

_REQUEST, _RESPONSE = "__fastapi_cache_request", "__fastapi_cache_response"
_PRIMITIVES = (bool, int, float, str, date, datetime, UUID, Enum)
_lookup: ContextVar[Lookup] = ContextVar("lookup")


class Unkeyed(NamedTuple):
    """Marks a dependency on which no answer depends, such as a service:
    `Annotated[Service, Depends(…), Unkeyed("…")]`."""

    reason: str


class Body(JsonCoder):
    """Answers are kept as the JSON that is sent: a hit is neither parsed nor made anew."""

    @classmethod
    def encode(cls, value: Any) -> bytes:
        return to_json(value)

    @classmethod
    def decode_as_type(cls, value: bytes, *, type_: Any) -> Any:  # noqa: ARG003  # bytes it stays
        return value


class _Current(Backend):
    """The library has one backend for a process; ours is that of the request's application."""

    async def get_with_ttl(self, key: str) -> tuple[int, bytes | None]:
        return await _lookup.get().get_with_ttl(key)

    async def get(self, key: str) -> bytes | None:
        return await _lookup.get().get(key)

    async def set(self, key: str, value: bytes, expire: int | None = None) -> None:
        await _lookup.get().set(key, value, expire)

    async def clear(self, namespace: str | None = None, key: str | None = None) -> int:
        return await _lookup.get().clear(namespace, key)


FastAPICache.init(_Current())


def cache(expire: int) -> Callable[[Endpoint], Endpoint]:
    """Remember an endpoint's answers, for everybody who may call it.

    Dependencies run first, so that whoever may not call it never gets this far. A hit is told by
    `X-FastAPI-Cache`, has an ETag of its content, and is 304 to whoever has it already.

    Args:
        expire: seconds.

    Raises:
        TypeError: when decorating: a parameter can be no part of a key, and is not `Unkeyed`.
    """

    def decorate(endpoint: Endpoint) -> Endpoint:
        keyed = _keyed_parameters(endpoint)

        def key(function: Endpoint, _: str = "", *, kwargs: dict[str, Any], **__: Any) -> str:
            parameters = ",".join(f"{name}={kwargs[name]!r}" for name in keyed)
            return f"{function.__name__}:{parameters}"

        remembered = fastapi_cache(expire=expire, coder=Body, key_builder=key)(endpoint)

        @wraps(remembered)
        async def answer(*args: Any, **kwargs: Any) -> Any:
            request: Request = kwargs[_REQUEST]
            response: Response = kwargs.pop(_RESPONSE)  # without it the library sets no headers
            answers: AnswerCache = request.app.state.runtime.answers
            if not answers.is_enabled:
                del kwargs[_REQUEST]
                return await endpoint(*args, **kwargs)
            async with answers.lookup(expire) as lookup:
                token = _lookup.set(lookup)
                try:
                    result = await remembered(*args, **kwargs)
                finally:
                    _lookup.reset(token)
            return _answer(request, response, lookup, result)

        return answer

    return decorate


def _keyed_parameters(endpoint: Endpoint) -> list[str]:
    """The names of the parameters that make up a key."""
    parameters = inspect.signature(endpoint, eval_str=True).parameters
    keyed = []
    for name, parameter in parameters.items():
        metadata = getattr(parameter.annotation, "__metadata__", ())
        if any(isinstance(mark, Unkeyed) for mark in metadata):
            continue
        if not _is_primitive(parameter.annotation):
            raise TypeError(f"{endpoint.__name__}: {name} can be no part of a cache key")
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


def _answer(request: Request, response: Response, lookup: Lookup, result: Any) -> Response:
    """The answer, with headers that tell whom it is for, how long, and what is in it.

    The library's own are left out: its ETag is a hash that differs in each process, and its
    `Cache-Control` lets any proxy hand the answer to anybody.

    Args:
        request: that is answered.
        response: has the headers that dependencies have set.
        lookup: what became of it.
        result: what is answered, or the bytes of it.
    """
    body = result if isinstance(result, bytes) else Body.encode(result)
    etag = f'W/"{sha256(body).hexdigest()[:32]}"'  # weak: it may be compressed on the way
    known = {tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")}
    if known & {etag, etag.removeprefix("W/"), "*"}:
        answer = Response(status_code=304)
    else:
        answer = Response(body, media_type="application/json")
    answer.raw_headers += response.raw_headers
    headers = answer.headers
    headers.append("ETag", etag)
    headers.append("Vary", "Authorization, Cookie")
    if lookup.ttl is None:
        headers.append("Cache-Control", "private, no-store")
    else:
        headers.append("Cache-Control", f"private, max-age={lookup.ttl}")
        headers.append("X-FastAPI-Cache", "HIT" if lookup.is_hit else "MISS")
    return answer
