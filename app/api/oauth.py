"""`TokenRoute`: a route that refuses requests as RFC 6749 §5.2 says."""

import re

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from app.api.routing import Handler, Route
from app.core.errors import invalid_request
from app.core.exceptions import (
    AppException,
    BadRequestException,
    EmailUnverifiedException,
    MfaRequiredException,
    UnauthorizedException,
    ValidationException,
)

_NOT_IN_DESCRIPTIONS = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")
"""Characters that RFC 6749 does not permit in `error_description`."""


class OAuthException(AppException):
    """A refusal for OAuth clients, with the members of every other error as well.

    Args:
        error: code of RFC 6749 §5.2.
        cause: the same refusal as the other endpoints answer it.
    """

    status = 400

    def __init__(self, error: str, cause: AppException) -> None:
        super().__init__(cause.message, details=cause.details)
        self.error = error
        self.members = {
            **cause.members,
            "error_description": _NOT_IN_DESCRIPTIONS.sub("?", cause.message),
        }


def _oauth_error(cause: AppException) -> OAuthException:
    if isinstance(cause, MfaRequiredException):
        return OAuthException(cause.error, cause)
    if isinstance(cause, UnauthorizedException | EmailUnverifiedException):
        return OAuthException("invalid_grant", cause)
    if any((one["field"], one["code"]) == ("grant_type", "malformed") for one in cause.details):
        return OAuthException("unsupported_grant_type", cause)
    return OAuthException("invalid_request", cause)


class TokenRoute(Route):
    """A route whose 400, 401 and 422 become the 400 of RFC 6749 §5.2, and so does the 403 of an
    unverified email.

    There is no `invalid_client`: all clients are public, and client credentials are ignored.
    Other refusals, such as 415, 429 and 503, are those of every endpoint.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def oauth(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise _oauth_error(invalid_request(error)) from error
            except (
                BadRequestException,
                UnauthorizedException,
                EmailUnverifiedException,
                ValidationException,
            ) as error:
                raise _oauth_error(error) from error

        return oauth
