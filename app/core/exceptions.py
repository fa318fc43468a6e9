"""Exceptions of the application, each with an HTTP status and a public error code."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from app.core.details import Detail, DetailCode


class AppException(Exception):
    """Base of all errors that become an error response.

    Args:
        message: human-readable sentence; default: the message of the class.
        details: reasons, without submitted values; where one has no code, the class's is added.
        headers: added to the response.

    Attributes:
        members: further members of the response's body.
        is_logged: whether a middleware has logged it already, with what it alone knows.
    """

    status: int = 500
    error: str = "internal_error"
    message: str = "Something went wrong on our side"
    headers: Mapping[str, str] = {}
    members: Mapping[str, str] = {}
    detail_code: DetailCode = "invalid"
    is_logged: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Iterable[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.message
        self.details: list[Detail] = [
            {**detail, "code": detail.get("code", self.detail_code)} for detail in details
        ]
        self.headers = {**self.headers, **(headers or {})}
        super().__init__(self.message)


class BadRequestException(AppException):
    """The request is malformed."""

    status, error = 400, "bad_request"
    message = "The request could not be read"


class MfaRequiredException(BadRequestException):
    """The password is right, and a second factor is required.

    Args:
        members: for the second step: token, methods and the token's lifetime.
    """

    error = "mfa_required"
    message = "A second factor is required"

    def __init__(self, members: Mapping[str, str]) -> None:
        super().__init__()
        self.members = members


class UnauthorizedException(AppException):
    """Credentials are missing or invalid."""

    status, error = 401, "unauthorized"
    message = "Not authenticated"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class WrongCodeException(UnauthorizedException):
    """The code of a second factor is wrong, was used before, or is too old."""

    error = "mfa_code_invalid"
    message = "The code is wrong, or was used before"


class PasskeyRefusedException(UnauthorizedException):
    """A passkey is unknown, or its answer is not valid or was used before."""

    error = "passkey_invalid"
    message = "The passkey was not accepted: try again, or log in another way"


class TokenInvalidException(UnauthorizedException):
    """A token is malformed, forged or of another kind."""

    error = "token_invalid"
    message = "Invalid token"
    headers: Mapping[str, str] = {
        "WWW-Authenticate": 'Bearer error="invalid_token", error_description="token_invalid"'
    }


class TokenExpiredException(UnauthorizedException):
    """An authentic token is past its expiry."""

    error = "token_expired"
    message = "The token has expired"
    headers: Mapping[str, str] = {
        "WWW-Authenticate": 'Bearer error="invalid_token", error_description="token_expired"'
    }


class TokenRevokedException(UnauthorizedException):
    """The session of an authentic token has ended, or its user may not log in any more."""

    error = "token_revoked"
    message = "The session of the token has ended"
    headers: Mapping[str, str] = {
        "WWW-Authenticate": 'Bearer error="invalid_token", error_description="token_revoked"'
    }


class ForbiddenException(AppException):
    """The authenticated caller lacks permission."""

    status, error = 403, "forbidden"
    message = "Not allowed"


class ConfirmationRequiredException(ForbiddenException):
    """The action needs a confirmation by the user within the last minutes."""

    error = "confirmation_required"
    message = "Confirm that it is you: log in again, or POST /auth/confirmation"


class ImpersonationException(ForbiddenException):
    """A superuser acts as the caller, and may not do this in another's name."""

    error = "impersonation_forbidden"
    message = "This is not possible while you act as another user"


class ImpersonationReadOnlyException(ImpersonationException):
    """A superuser acts as the caller, read-only."""

    error = "impersonation_read_only"
    message = "You act as another user, read-only"


class MfaEnrolmentRequiredException(ForbiddenException):
    """The user has to set up a second factor first."""

    error = "mfa_enrolment_required"
    message = "Set up an authenticator app or a passkey first"


class EmailUnverifiedException(ForbiddenException):
    """The credentials are right, and the email has to be verified before the first login."""

    error = "email_unverified"
    message = "Verify your email first: a link was mailed to it"


class NotFoundException(AppException):
    """The resource does not exist."""

    status, error = 404, "not_found"
    message = "Not found"


class ConflictException(AppException):
    """The request conflicts with existing data."""

    status, error = 409, "conflict"
    message = "Already taken"
    detail_code: DetailCode = "taken"


class ChangedMeanwhileException(ConflictException):
    """Others have changed fields since the caller read them, to other values.

    Args:
        values: the fields with their values by now.
        reasons: a sentence for each, where more is known.
    """

    message = "Another user has changed the same meanwhile"
    detail_code = "changed"

    def __init__(
        self, values: Mapping[str, object], reasons: Mapping[str, str] | None = None
    ) -> None:
        self.values, reasons = values, reasons or {}
        super().__init__(
            details=[
                {
                    "field": field,
                    "message": reasons.get(field, "was changed meanwhile"),
                    "value": value,
                }
                for field, value in values.items()
            ]
        )


class BodyTimeoutException(AppException):
    """The client took too long to send the request's body."""

    status, error = 408, "body_timeout"
    message = "The request body did not arrive in time"
    headers: Mapping[str, str] = {"Connection": "close"}


class PreconditionFailedException(AppException):
    """The resource has changed since the caller read it (`If-Match`)."""

    status, error = 412, "precondition_failed"
    message = "It has changed since it was read"


class PayloadTooLargeException(AppException):
    """The body exceeds `SERVER_MAX_BODY_BYTES`, or the limit of a form."""

    status, error = 413, "payload_too_large"
    message = "The request body is too large"


class UnsupportedMediaTypeException(AppException):
    """The body's content type, charset or encoding is not supported."""

    status, error = 415, "unsupported_media_type"
    message = "The content type of the request body is not supported"


class ValidationException(AppException):
    """The request's values break a rule; `details` names the fields."""

    status, error = 422, "validation_error"
    message = "Some values are not valid"


class TooManyRequestsException(AppException):
    """A rate limit is exceeded."""

    status, error = 429, "rate_limit_exceeded"
    message = "Too many requests"


class DatabaseException(AppException):
    """A database error caused by a fault of the application."""

    status, error = 500, "database_error"


class ServiceUnavailableException(AppException):
    """A dependency is down or at capacity; the same request may succeed later."""

    status, error = 503, "service_unavailable"
    message = "Temporarily unavailable"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class RequestTimeoutException(AppException):
    """The request's deadline passed before the response began."""

    status, error = 504, "request_timeout"

    def __init__(self, timeout: float) -> None:
        """Args: timeout: the deadline, in seconds."""
        super().__init__(f"Request exceeded {timeout}s timeout")


class StatementTimeoutException(AppException):
    """The database cancelled a statement at its timeout; a retry is unlikely to succeed."""

    status, error = 504, "request_timeout"
    message = "The database took too long"


class FrameworkException(AppException):
    """An error of the framework, of which only the status is known.

    Args:
        status: of the response.
        headers: added to the response.
    """

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        phrase = HTTPStatus(status).phrase
        super().__init__(phrase, headers=headers)
        self.status, self.error = status, re.sub(r"\W+", "_", phrase.lower())
