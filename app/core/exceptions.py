"""What can go wrong, as facts: each has an HTTP status and a public code."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

Detail = Mapping[str, Any]
"""One reason: `field` and `message`, and where it helps more, such as `index`."""


class AppException(Exception):
    """A refusal or failure that the caller is told of.

    Args:
        message: a sentence for people; the class's own where it is left out.
        details: reasons, in the order they were found. Never what was submitted.
        headers: added to the response.

    Attributes:
        is_logged: whether a middleware has logged it already, with what it alone knows.
    """

    status: int = 500
    error: str = "internal_error"
    message: str = "Something went wrong on our side"
    headers: Mapping[str, str] = {}
    is_logged: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Iterable[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.message
        self.details = list(details)
        self.headers = {**self.headers, **(headers or {})}
        super().__init__(self.message)


class BadRequestException(AppException):
    """The request cannot be read at all."""

    status, error = 400, "bad_request"
    message = "The request could not be read"


class UnauthorizedException(AppException):
    """Nobody is behind the request: no credentials, or none that hold."""

    status, error = 401, "unauthorized"
    message = "Not authenticated"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class ForbiddenException(AppException):
    """The caller is known, and may not."""

    status, error = 403, "forbidden"
    message = "Not allowed"


class NotFoundException(AppException):
    """What was named is not there."""

    status, error = 404, "not_found"
    message = "Not found"


class ConflictException(AppException):
    """What the caller asked for contradicts what is already there."""

    status, error = 409, "conflict"
    message = "Already taken"


class BodyTimeoutException(AppException):
    """The client took too long to send the request's body."""

    status, error = 408, "body_timeout"
    message = "The request body did not arrive in time"
    headers: Mapping[str, str] = {"Connection": "close"}


class PayloadTooLargeException(AppException):
    """The body is larger than `SERVER_MAX_BODY_BYTES`, or than a form may be."""

    status, error = 413, "payload_too_large"
    message = "The request body is too large"


class UnsupportedMediaTypeException(AppException):
    """The body's content type, charset or encoding is none that the route reads."""

    status, error = 415, "unsupported_media_type"
    message = "The request body has a content type that is not accepted here"


class ValidationException(AppException):
    """The request was read, and breaks a rule; `details` names the fields."""

    status, error = 422, "validation_error"
    message = "Some values are not valid"


class TooManyRequestsException(AppException):
    """A rate limit is used up."""

    status, error = 429, "rate_limit_exceeded"
    message = "Too many requests"


class DatabaseException(AppException):
    """The database refused something for a reason that is ours to mend."""

    status, error = 500, "database_error"


class ServiceUnavailableException(AppException):
    """A part we need is away or full; the same request may do well in a moment."""

    status, error = 503, "service_unavailable"
    message = "Temporarily unavailable"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class RequestTimeoutException(AppException):
    """The request's deadline passed before its answer began."""

    status, error = 504, "request_timeout"

    def __init__(self, timeout: float) -> None:
        """Args: timeout: the deadline that passed, in seconds."""
        super().__init__(f"Request exceeded {timeout}s timeout")


class StatementTimeoutException(AppException):
    """The database gave a statement up: trying again soon would do no better."""

    status, error = 504, "request_timeout"
    message = "The database took too long"


class FrameworkException(AppException):
    """A refusal by the framework, of which only the status is known.

    Args:
        status: of the response.
        headers: added to the response.
    """

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        phrase = HTTPStatus(status).phrase
        super().__init__(phrase, headers=headers)
        self.status, self.error = status, re.sub(r"\W+", "_", phrase.lower())
