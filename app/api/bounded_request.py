"""`BoundedRequest`: a request with limits on parsing its body, form and cookies (ADR 17).

The input of clients is parsed before they are authenticated. So each parser has limits: none blocks
the event loop for more than 50 ms, whatever the body.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.core.cookies import parse_cookies
from app.core.errors import violations
from app.core.exceptions import (
    BadRequestException,
    BodyTimeoutException,
    PayloadTooLargeException,
    UnsupportedMediaTypeException,
    ValidationException,
)
from app.core.middleware.deadline import current_deadline
from app.core.text.normalisation import is_encodable

BODY_SHARE = 0.8
"""Fraction of the request's deadline within which its body has to arrive: 24 of 30 s."""
MAX_CONTENT_TYPE = 256
"""Maximum length of a `Content-Type` header."""
MAX_FORM_BYTES = 65_536
"""Maximum size in bytes of a form without files, and of a field of any form. Our largest form has
5,000."""
MAX_FORM_FIELDS = 128
"""Maximum number of fields of a form: the users page sends one for each of 100 selected users."""
MAX_CONTAINERS = 20_000
"""Maximum number of objects and lists in a JSON body, and of items of a list: twice the users of
the longest bulk request."""
MAX_MEMBERS = 100
"""Maximum number of members of a JSON object; more than in any schema."""

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BOM = b"\xef\xbb\xbf"


class BoundedRequest(Request):
    """A request whose parts are read once, within these limits."""

    @property
    def cookies(self) -> dict[str, str]:
        if not hasattr(self, "_cookies"):
            self._cookies = parse_cookies(self.headers.getlist("cookie"))
        return self._cookies

    @property
    def has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.scope["headers"]
        )

    async def read(self, accepted: Sequence[str], *, is_wanted: bool) -> None:
        """Receive the body and parse it.

        Args:
            accepted: content types of the route.
            is_wanted: whether the route has body parameters; if not, other types are ignored.

        Raises:
            UnsupportedMediaTypeException: the type is not accepted, the charset is not UTF-8, or
                the body is compressed; nothing was read.
            BadRequestException: the body is malformed, or the client disconnected.
            BodyTimeoutException: the body did not arrive in time.
            PayloadTooLargeException: it is larger than allowed.
            ValidationException: the JSON has too many parts, or contains lone surrogates.
        """
        media_type, charset = _content_type(self)
        if media_type not in accepted:
            if is_wanted:
                raise UnsupportedMediaTypeException(f"The body should be {' or '.join(accepted)}")
            return
        if charset not in {b"utf-8", b"utf8"}:
            raise UnsupportedMediaTypeException("The request body should be in UTF-8")
        if _is_compressed(self):
            raise UnsupportedMediaTypeException("The request body should not be compressed")
        content = await self._receive_body()
        if not content:
            return
        if media_type == _JSON:
            self._json = _parsed(content.removeprefix(_BOM))
        elif media_type == _FORM:
            self._form = _fields(content)
        else:
            self._form = await self._parts()

    async def _receive_body(self) -> bytes:
        deadline = current_deadline()
        try:
            async with asyncio.timeout(deadline.timeout * BODY_SHARE if deadline else None):
                return await self.body()
        except TimeoutError as error:
            raise BodyTimeoutException from error
        except ClientDisconnect as error:
            message = "The connection was closed before the request was complete"
            raise BadRequestException(message) from error

    async def _parts(self) -> FormData:
        """The parts of a multipart form. python-multipart limits boundaries and headers itself."""
        parser = MultiPartParser(
            self.headers,
            self.stream(),
            max_files=1,
            max_fields=MAX_FORM_FIELDS,
            max_part_size=MAX_FORM_BYTES,
        )
        try:
            return await parser.parse()
        except MultiPartException as error:
            raise BadRequestException("The form is malformed, or has too many fields") from error


class BoundedRoute(APIRoute):
    """A route that reads its body, JSON or form, before FastAPI does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        accepted, is_wanted = _accepted(self), self.body_field is not None

        async def read_and_handle(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive)
            if not bounded.has_body:
                return await handle(bounded)
            try:
                await bounded.read(accepted, is_wanted=is_wanted)
                return await handle(bounded)
            finally:
                await bounded.close()

        return read_and_handle


def _accepted(route: APIRoute) -> tuple[str, ...]:
    """Content types that the route accepts. Without body parameters it may still have dependencies
    that read a form."""
    if route.body_field is None:
        return _JSON, _FORM, _MULTIPART
    is_form = getattr(route.body_field.field_info, "media_type", _JSON) != _JSON
    return (_FORM, _MULTIPART) if is_form else (_JSON,)


def _content_type(request: Request) -> tuple[str, bytes]:
    """Media type and charset of the body in lower case; no media type if the header is too long."""
    header = request.headers.get("content-type", "")
    value, options = parse_options_header(header if len(header) <= MAX_CONTENT_TYPE else "")
    media_type = value.decode("latin-1").strip().lower()
    is_json = media_type.startswith("application/") and media_type.endswith("+json")
    return _JSON if is_json else media_type, options.get(b"charset", b"utf-8").lower()


def _is_compressed(request: Request) -> bool:
    headers = request.headers
    return (
        headers.get("content-encoding", "identity").lower() != "identity"
        or headers.get("transfer-encoding", "chunked").lower() != "chunked"
    )


def _parsed(content: bytes) -> Any:
    """The parsed JSON body.

    Raises:
        BadRequestException: it is malformed, or nested more than 200 levels deep.
        ValidationException: it has too many objects, lists or members, or a lone surrogate.
    """
    if content.count(b"{") + content.count(b"[") > MAX_CONTAINERS:
        raise _invalid(f"should have at most {MAX_CONTAINERS:,} objects and lists")
    try:
        value = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        if "hex escape" in str(error) and (fields := _fields_with_surrogates(content)):
            message = "should be valid Unicode text"
            details = violations({"loc": ("body", name), "msg": message} for name in fields)
            raise ValidationException(details=details) from error
        raise BadRequestException("The request body is not valid JSON") from error
    if isinstance(value, list) and len(value) > MAX_CONTAINERS:
        raise _invalid(f"should have at most {MAX_CONTAINERS:,} items, and has {len(value):,}")
    for part in value if isinstance(value, list) else (value,):
        if isinstance(part, dict) and len(part) > MAX_MEMBERS:
            raise _invalid(f"should have at most {MAX_MEMBERS} fields, and has {len(part):,}")
    return value


def _fields_with_surrogates(content: bytes) -> list[str]:
    """The fields with lone surrogates, which RFC 8259 allows and no database stores; empty if the
    body is malformed otherwise."""
    if len(content) > MAX_FORM_BYTES:  # searching would take as long as parsing again
        return [""]
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return []
    if not isinstance(value, dict) or len(value) > MAX_MEMBERS:
        return [""]
    return [name for name, part in value.items() if not _is_encodable([name, part])] or [""]


def _is_encodable(value: Any) -> bool:
    return is_encodable(json.dumps(value, ensure_ascii=False))


def _fields(content: bytes) -> FormData:
    """The fields of a URL-encoded form.

    Raises:
        PayloadTooLargeException: it has more than `MAX_FORM_BYTES`.
        BadRequestException: it has too many fields, or is not UTF-8.
    """
    if len(content) > MAX_FORM_BYTES:
        raise PayloadTooLargeException
    try:
        fields = parse_qsl(
            content.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise BadRequestException("The form has too many fields, or is not UTF-8") from error
    return FormData([(name, value) for name, value in fields])


def _invalid(message: str) -> ValidationException:
    return ValidationException(details=[{"field": "body", "message": message}])
